//! Classifies a handwritten digit in a task of low priority. A timer's task preempts it, also within a step; software tasks of the
//! same priority have their turn between two steps.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use panic_semihosting as _;

#[rtic::app(device = lm3s6965, dispatchers = [GPIOA])]
mod app {
    use core::future::poll_fn;
    use core::task::Poll;

    use cortex_m::peripheral::syst::SystClkSource;
    use cortex_m_semihosting::{debug, hprintln};
    use tinyspike_firmware::{Engine, Image, Native};

    /// The most ensembles and connections, and words of arena: `tinyspike inspect` tells them.
    const ENSEMBLES: usize = 3;
    const CONNECTIONS: usize = 4;
    const ARENA: usize = 1714;

    /// The engine reads the image where it lies, at a multiple of 4 bytes.
    #[repr(align(4))]
    struct Aligned<const N: usize>([u8; N]);

    static IMAGE: &Aligned<{ include_bytes!("../../embed/mnist.tsp").len() }> =
        &Aligned(*include_bytes!("../../embed/mnist.tsp"));
    /// A picture of 28 x 28 pixels, where a camera's would come in.
    static SEVEN: &[u8] = include_bytes!("../../embed/seven.bin");

    type Network = Engine<'static, Native, ENSEMBLES, CONNECTIONS>;

    #[shared]
    struct Shared {
        ticks: u32,
    }

    #[local]
    struct Local {
        network: Network,
    }

    #[init(local = [
        parsed: Option<Image<'static, ENSEMBLES, CONNECTIONS>> = None,
        arena: [u32; ARENA] = [0; ARENA],
    ])]
    fn init(mut cx: init::Context) -> (Shared, Local) {
        let image = Image::parse(&IMAGE.0).expect("the image fits this engine");
        let image = cx.local.parsed.insert(image);
        let network = Engine::new(image, cx.local.arena).expect("the arena is large enough");
        cx.core.SYST.set_clock_source(SystClkSource::Core);
        cx.core.SYST.set_reload(12_000);
        cx.core.SYST.enable_counter();
        cx.core.SYST.enable_interrupt();
        classify::spawn().expect("the task is started once");
        (Shared { ticks: 0 }, Local { network })
    }

    #[task(binds = SysTick, priority = 2, shared = [ticks])]
    fn tick(mut cx: tick::Context) {
        cx.shared.ticks.lock(|ticks| *ticks += 1);
    }

    #[task(priority = 1, local = [network], shared = [ticks])]
    async fn classify(mut cx: classify::Context) {
        let network = cx.local.network;
        network
            .set_input(SEVEN)
            .expect("the network takes 784 bytes");
        turn().await;
        while network.step() && !network.decided() {
            turn().await;
        }
        let ticks = cx.shared.ticks.lock(|ticks| *ticks);
        let class = network.output(0).class();
        hprintln!("class {} while {} ticks passed", class, ticks);
        debug::exit(match (class, ticks) {
            (7, 1..) => debug::EXIT_SUCCESS,
            _ => debug::EXIT_FAILURE,
        });
    }

    /// Gives other tasks their turn.
    async fn turn() {
        let mut given = false;
        poll_fn(|context| {
            if core::mem::replace(&mut given, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
