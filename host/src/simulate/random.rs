//! NumPy's `RandomState`, to the bit: Nengo draws initial voltages from it.

const N: usize = 624;
const M: usize = 397;

/// The Mersenne Twister MT19937 with NumPy's legacy distributions.
#[derive(Clone, Debug)]
pub struct RandomState {
    words: [u32; N],
    next: usize,
}

impl RandomState {
    /// `numpy.random.RandomState(seed)`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut words = [seed; N];
        for i in 1..N {
            let last = words[i - 1];
            words[i] = (last ^ (last >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self { words, next: N }
    }

    fn refill(&mut self) {
        for i in 0..N {
            let joined = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % N] & 0x7fff_ffff);
            let twist = if joined & 1 == 0 { 0 } else { 0x9908_b0df };
            self.words[i] = self.words[(i + M) % N] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next >= N {
            self.refill();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `random_sample()`: uniform in [0, 1) with 53 bits.
    pub fn random_sample(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// `randint(2**31 - 1)`, as Nengo draws its seeds.
    pub fn seed(&mut self) -> u32 {
        loop {
            let value = self.next_u32() & 0x7fff_ffff;
            if value < 0x7fff_ffff {
                return value;
            }
        }
    }

    /// `poisson(mean)`.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean >= 10.0 {
            self.poisson_rejection(mean)
        } else if mean > 0.0 {
            let limit = (-mean).exp();
            let mut product = self.random_sample();
            let mut count = 0.0;
            while product > limit {
                count += 1.0;
                product *= self.random_sample();
            }
            count
        } else {
            0.0
        }
    }

    /// Hörmann's transformed rejection, "The transformed rejection method for generating Poisson
    /// random variables" (1993), as NumPy has it.
    fn poisson_rejection(&mut self, mean: f64) -> f64 {
        let root = mean.sqrt();
        let b = 0.931 + 2.53 * root;
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let v_r = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.random_sample() - 0.5;
            let v = self.random_sample();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= v_r {
                return k;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let left = v.ln() + inverse_alpha.ln() - (a / (us * us) + b).ln();
            if left <= -mean + k * mean.ln() - libm::lgamma(k + 1.0) {
                return k;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_numpys() {
        // numpy.random.RandomState(1).uniform(0, 1, 3)
        let mut rng = RandomState::new(1);
        let drawn = [
            rng.random_sample(),
            rng.random_sample(),
            rng.random_sample(),
        ];
        assert_eq!(
            drawn,
            [
                0.417_022_004_702_574,
                0.720_324_493_442_158_1,
                0.000_114_374_817_344_886_64
            ]
        );
        // [numpy.random.RandomState(0).randint(2**31 - 1) for _ in range(4)], one generator
        let mut rng = RandomState::new(0);
        assert_eq!(
            [rng.seed(), rng.seed(), rng.seed(), rng.seed()],
            [209_652_396, 398_764_591, 924_231_285, 1_478_610_112]
        );
        // numpy.random.RandomState(5).poisson(3.5, 8), then .poisson(40., 6)
        let mut rng = RandomState::new(5);
        let small: Vec<f64> = (0..8).map(|_| rng.poisson(3.5)).collect();
        assert_eq!(small, [4.0, 4.0, 2.0, 3.0, 4.0, 2.0, 1.0, 3.0]);
        let large: Vec<f64> = (0..6).map(|_| rng.poisson(40.0)).collect();
        assert_eq!(large, [34.0, 46.0, 41.0, 40.0, 51.0, 38.0]);
    }
}
