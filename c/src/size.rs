//! Sizes of a state, which C must know when it compiles.

/// The most ensembles of a network that this build holds.
pub const ENSEMBLES: usize = limit(option_env!("TINYSPIKE_ENSEMBLES"), 16);
/// The most connections of a network that this build holds.
pub const CONNECTIONS: usize = limit(option_env!("TINYSPIKE_CONNECTIONS"), 24);

/// Bytes of a state, pointers and the parts of a network aside.
pub const TINYSPIKE_STATE_BASE: usize = 352;
/// Pointers in a state.
pub const TINYSPIKE_STATE_POINTERS: usize = 16;
/// Bytes of a state for each ensemble.
pub const TINYSPIKE_STATE_ENSEMBLE: usize = 64;
/// Bytes of a state for each connection.
pub const TINYSPIKE_STATE_CONNECTION: usize = 68;

/// Bytes of a state with room for so many ensembles and connections, on a machine whose pointers have so many bytes.
#[must_use]
pub const fn state_bytes(ensembles: usize, connections: usize, pointer: usize) -> usize {
    let bytes = TINYSPIKE_STATE_BASE
        + TINYSPIKE_STATE_POINTERS * pointer
        + TINYSPIKE_STATE_ENSEMBLE * ensembles
        + TINYSPIKE_STATE_CONNECTION * connections;
    bytes.next_multiple_of(pointer)
}

/// A limit in decimal digits, or the usual one.
const fn limit(text: Option<&str>, usual: usize) -> usize {
    let Some(text) = text else { return usual };
    let digits = text.as_bytes();
    let (mut value, mut at) = (0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "a limit is a decimal number");
        value = value * 10 + (digits[at] - b'0') as usize;
        at += 1;
    }
    assert!(value >= 1 && value <= 254, "a limit is 1 to 254");
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_decimal_numbers() {
        assert_eq!(limit(None, 7), 7);
        assert_eq!(limit(Some("128"), 7), 128);
    }
}
