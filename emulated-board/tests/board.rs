//! Boards under probe-rs: everything that a program does to a real one.

#![expect(
    clippy::print_stdout,
    reason = "a measurement, and a process that is to be killed, say something"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use emulated_board::{Board, Error, Fault, Machine, Options};
use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{
    Core, CoreStatus, HaltReason, MemoryInterface as _, RegisterId, VectorCatchCondition,
};

use support::{FLASHABLE, SOON, assemble, attach, flash, noise, start, try_attach};

/// The halt reason, if the core is halted.
fn halted(core: &mut Core<'_>) -> HaltReason {
    core.wait_for_core_halted(SOON).unwrap();
    match core.status().unwrap() {
        CoreStatus::Halted(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn pc(core: &mut Core<'_>) -> u32 {
    core.read_core_reg(core.program_counter()).unwrap()
}

/// Sends a byte to the echo program.
fn send(rtt: &mut Rtt, core: &mut Core<'_>, byte: u8) {
    assert_eq!(
        rtt.down_channel(0).unwrap().write(core, &[byte]).unwrap(),
        1
    );
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn blank_boards_attach_and_halt() {
    for machine in Machine::PROBED {
        let board = start(machine);
        let mut session = attach(&board);
        let mut core = session.core(0).unwrap();
        assert_eq!(core.status().unwrap(), CoreStatus::LockedUp, "{machine}");
        core.reset_and_halt(SOON).unwrap();
        assert!(core.core_halted().unwrap(), "{machine}");
        core.run().unwrap();
        assert_eq!(core.status().unwrap(), CoreStatus::LockedUp, "{machine}");
        let vectors = core.read_word_32(machine.flash().start.into()).unwrap();
        let blank = if machine == Machine::NetduinoPlus2 {
            0
        } else {
            u32::MAX
        };
        assert_eq!(vectors, blank, "{machine}");
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn memory_takes_accesses_of_every_width() {
    for machine in Machine::PROBED {
        let board = start(machine);
        let mut session = attach(&board);
        let mut core = session.core(0).unwrap();
        let ram = u64::from(machine.ram().start);
        // Across the KiB at which the access port's address wraps, and at every alignment.
        let data = noise(5000);
        for start in [0, 1, 2, 3, 1021] {
            core.write(ram + start, &data).unwrap();
            let mut read = vec![0; data.len()];
            core.read(ram + start, &mut read).unwrap();
            assert!(read == data, "{machine} {start}");
        }
        core.write_32(ram + 1020, &[0x0403_0201, 0x0807_0605])
            .unwrap();
        core.write_16(ram + 1022, &[0xbbaa]).unwrap();
        core.write_8(ram + 1025, &[0xcc]).unwrap();
        assert_eq!(core.read_word_32(ram + 1020).unwrap(), 0xbbaa_0201);
        assert_eq!(core.read_word_16(ram + 1024).unwrap(), 0xcc05);
        assert_eq!(core.read_word_8(ram + 1027).unwrap(), 8);
        let last = u64::from(machine.ram().end) - 4;
        core.write_word_32(last, 7).unwrap();
        assert_eq!(core.read_word_32(last).unwrap(), 7);
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn an_address_without_memory_is_an_error_and_nothing_more() {
    for machine in Machine::PROBED {
        let board = start(machine);
        let mut session = attach(&board);
        let mut core = session.core(0).unwrap();
        core.read_word_32(0x3000_0000).unwrap_err();
        core.read_32(machine.ram().end.into(), &mut [0; 100])
            .unwrap_err();
        let ram = machine.ram().start.into();
        core.write_word_32(ram, 5).unwrap();
        assert_eq!(core.read_word_32(ram).unwrap(), 5, "{machine}");
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn registers_hold_what_is_written() {
    const MSP: u16 = 17;
    const PSP: u16 = 18;
    const EXTRA: u16 = 20;
    const FPSCR: u16 = 33;
    const S0: u16 = 64;
    for machine in Machine::PROBED {
        let board = start(machine);
        let mut session = attach(&board);
        let mut core = session.core(0).unwrap();
        core.reset_and_halt(SOON).unwrap();
        let ram = machine.ram().start;
        let mut registers: Vec<(u16, u32)> =
            (0..13).map(|n| (n, 0x1111_1111 * u32::from(n))).collect();
        registers.extend([(14, 0xffff_ffff), (15, ram + 0x40), (16, 0xa100_0000)]);
        registers.extend([(MSP, ram + 0x800), (PSP, ram + 0x400), (EXTRA, 1)]);
        if machine != Machine::Microbit {
            registers.push((FPSCR, 0x8000_0000));
            registers.extend((0..32).map(|n| (S0 + n, 0x0101_0101 * u32::from(n))));
        }
        for &(id, value) in &registers {
            core.write_core_reg(RegisterId(id), value).unwrap();
        }
        for &(id, value) in &registers {
            let read: u32 = core.read_core_reg(RegisterId(id)).unwrap();
            assert_eq!(read, value, "{machine} register {id}");
        }
        let sp: u32 = core.read_core_reg(core.stack_pointer()).unwrap();
        assert_eq!(sp, ram + 0x800);
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn flash_is_erased_programmed_and_verified() {
    for machine in FLASHABLE {
        let board = start(machine);
        let mut session = attach(&board);
        let (first, second) = (noise(21_001), noise(9_000).repeat(2));
        for data in [&first, &second] {
            flash(&mut session, machine, data).unwrap_or_else(|e| panic!("{machine}: {e:?}"));
            let mut read = vec![0; data.len()];
            let mut core = session.core(0).unwrap();
            core.read(machine.flash().start.into(), &mut read).unwrap();
            assert!(read == *data, "{machine}");
        }
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn flash_without_a_controller_fails_to_verify() {
    let machine = Machine::NetduinoPlus2;
    let board = start(machine);
    let error = flash(&mut attach(&board), machine, &noise(2000)).unwrap_err();
    assert!(
        matches!(error, probe_rs::flashing::FlashError::Verify),
        "{error:?}"
    );
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_program_runs_stops_and_steps() {
    let program = assemble("tests/echo.s");
    for machine in echoing() {
        let board = start(machine);
        let mut session = attach(&board);
        flash(&mut session, machine, &program).unwrap();
        let mut core = session.core(0).unwrap();
        let entry = core.read_word_32(4).unwrap() & !1;
        let fail = core.read_word_32(12).unwrap() & !1;
        let next = core.read_word_32(20).unwrap();

        assert_eq!(core.reset_and_halt(SOON).unwrap().pc, u64::from(entry));
        assert_eq!(core.step().unwrap().pc, u64::from(entry + 2));
        let r0: u32 = core.read_core_reg(RegisterId(0)).unwrap();
        assert_eq!(r0, 0x2000_0000);
        core.run().unwrap();
        let mut rtt = channels(&mut core);

        // A comparator's breakpoint, which holds a core that runs on, and lets go of it when it is cleared.
        core.set_hw_breakpoint(next.into()).unwrap();
        for byte in [1, 2] {
            assert_eq!(core.status().unwrap(), CoreStatus::Running, "{machine}");
            send(&mut rtt, &mut core, byte);
            // Once for the byte that came, once for the one that goes.
            for _ in 0..2 {
                let reason = halted(&mut core);
                assert!(matches!(reason, HaltReason::Breakpoint(_)), "{reason:?}");
                assert_eq!(pc(&mut core), next, "{machine}");
                core.run().unwrap();
            }
        }
        core.clear_hw_breakpoint(next.into()).unwrap();
        send(&mut rtt, &mut core, 3);
        assert_eq!(receive(&mut rtt, &mut core, 3), [2, 3, 4]);

        assert!(core.halt(SOON).is_ok());
        assert_eq!(halted(&mut core), HaltReason::Request);
        core.run().unwrap();

        // A breakpoint instruction.
        send(&mut rtt, &mut core, 0xff);
        assert!(
            matches!(halted(&mut core), HaltReason::Breakpoint(_)),
            "{machine}"
        );
        core.run().unwrap();
        send(&mut rtt, &mut core, 4);
        assert_eq!(receive(&mut rtt, &mut core, 1), [5]);

        // An exception that is caught.
        core.halt(SOON).unwrap();
        core.enable_vector_catch(VectorCatchCondition::HardFault)
            .unwrap();
        core.run().unwrap();
        send(&mut rtt, &mut core, 0xfe);
        assert_eq!(halted(&mut core), HaltReason::Exception, "{machine}");
        assert_eq!(pc(&mut core), fail);
        core.disable_vector_catch(VectorCatchCondition::HardFault)
            .unwrap();
        // No interrupt reaches a core that sleeps in this exception; a debugger does.
        core.run().unwrap();
        thread::sleep(Duration::from_millis(20));
        core.halt(SOON).unwrap();
        assert_eq!(pc(&mut core), fail + 2, "{machine}");

        core.reset().unwrap();
        assert_eq!(core.status().unwrap(), CoreStatus::Running, "{machine}");
    }
}

/// The boards that the echo program is for: their flash is at 0.
fn echoing() -> impl Iterator<Item = Machine> {
    FLASHABLE
        .into_iter()
        .filter(|machine| machine.flash().start == 0)
}

/// Finds the echo program's channels, which it makes at the start.
fn channels(core: &mut Core<'_>) -> Rtt {
    let region = ScanRegion::Exact(0x2000_0000);
    let start = Instant::now();
    loop {
        match Rtt::attach_region(core, &region) {
            Ok(rtt) => return rtt,
            Err(e) if start.elapsed() > SOON => panic!("{e}"),
            Err(_) => {}
        }
    }
}

/// Takes `count` bytes from the echo program.
fn receive(rtt: &mut Rtt, core: &mut Core<'_>, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut have = 0;
    let start = Instant::now();
    while have < count {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{have} of {count}"
        );
        have += rtt
            .up_channel(0)
            .unwrap()
            .read(core, &mut bytes[have..])
            .unwrap();
    }
    bytes
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn rtt_flows_while_the_core_runs() {
    const COUNT: usize = 2000;
    let program = assemble("tests/echo.s");
    for machine in echoing() {
        let board = start(machine);
        let mut session = attach(&board);
        flash(&mut session, machine, &program).unwrap();
        let mut core = session.core(0).unwrap();
        core.reset().unwrap();
        let mut rtt = channels(&mut core);
        let data: Vec<u8> = (0..COUNT).map(|i| (i % 251) as u8).collect();
        let (mut sent, mut back) = (0, Vec::new());
        let start = Instant::now();
        while back.len() < COUNT {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{machine}: {}",
                back.len()
            );
            sent += rtt
                .down_channel(0)
                .unwrap()
                .write(&mut core, &data[sent..])
                .unwrap();
            let mut bytes = [0; 64];
            let n = rtt
                .up_channel(0)
                .unwrap()
                .read(&mut core, &mut bytes)
                .unwrap();
            back.extend_from_slice(&bytes[..n]);
            assert_eq!(core.status().unwrap(), CoreStatus::Running, "{machine}");
        }
        assert!(
            back.iter().zip(&data).all(|(b, a)| *b == a + 1),
            "{machine}"
        );
        let counter = core.read_word_32(16).unwrap();
        assert_eq!(core.read_word_32(counter.into()).unwrap(), COUNT as u32);
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_sleeping_core_can_be_debugged() {
    const SLEEP: u8 = 0xfd;
    const WFI: u16 = 0xbf30;
    let program = assemble("tests/echo.s");
    for machine in echoing() {
        let board = start(machine);
        let mut session = attach(&board);
        flash(&mut session, machine, &program).unwrap();
        {
            let mut core = session.core(0).unwrap();
            core.reset().unwrap();
            let mut rtt = channels(&mut core);
            send(&mut rtt, &mut core, SLEEP);
            thread::sleep(Duration::from_millis(50));
            core.halt(SOON).unwrap();
            let first = pc(&mut core);
            // The loop has two instructions.
            let mut seen: Vec<u32> = (0..4).map(|_| core.step().unwrap().pc as u32).collect();
            assert_eq!(seen[0], seen[2], "{machine} {first:x}");
            assert_eq!(seen[1], seen[3], "{machine} {first:x}");
            seen.sort_unstable();
            assert_eq!(core.read_word_16(seen[0].into()).unwrap(), WFI);
            core.run().unwrap();
        }
        // The flash algorithm runs on the core, after a reset or not.
        flash(&mut session, machine, &program).unwrap();
        let mut core = session.core(0).unwrap();
        core.reset().unwrap();
        let mut rtt = channels(&mut core);
        send(&mut rtt, &mut core, 1);
        assert_eq!(receive(&mut rtt, &mut core, 1), [2]);
        // It wakes up if it is told to.
        send(&mut rtt, &mut core, SLEEP);
        thread::sleep(Duration::from_millis(50));
        core.halt(SOON).unwrap();
        let entry = core.read_word_32(4).unwrap() & !1;
        core.write_core_reg(core.program_counter(), entry).unwrap();
        core.run().unwrap();
        thread::sleep(Duration::from_millis(20));
        let mut rtt = channels(&mut core);
        send(&mut rtt, &mut core, 6);
        assert_eq!(receive(&mut rtt, &mut core, 1), [7], "{machine}");
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn the_board_outlives_its_debuggers() {
    let program = assemble("tests/echo.s");
    let machine = Machine::Mps2An386;
    let board = start(machine);
    flash(&mut attach(&board), machine, &program).unwrap();
    {
        let mut session = attach(&board);
        let mut core = session.core(0).unwrap();
        core.reset().unwrap();
        let mut rtt = channels(&mut core);
        send(&mut rtt, &mut core, 1);
        assert_eq!(receive(&mut rtt, &mut core, 1), [2]);
    }
    // Nobody is connected, and the program runs on.
    let mut session = attach(&board);
    let mut core = session.core(0).unwrap();
    assert_eq!(core.status().unwrap(), CoreStatus::Running);
    let mut rtt = channels(&mut core);
    send(&mut rtt, &mut core, 7);
    assert_eq!(receive(&mut rtt, &mut core, 1), [8]);
    let counter = core.read_word_32(16).unwrap();
    assert_eq!(core.read_word_32(counter.into()).unwrap(), 2);
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn two_boards_are_two() {
    let (one, other) = (start(Machine::Microbit), start(Machine::Microbit));
    assert_ne!(one.port(), other.port());
    let ram = 0x2000_0000;
    let (mut first, mut second) = (attach(&one), attach(&other));
    first.core(0).unwrap().write_word_32(ram, 1).unwrap();
    second.core(0).unwrap().write_word_32(ram, 2).unwrap();
    assert_eq!(first.core(0).unwrap().read_word_32(ram).unwrap(), 1);
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_probe_that_vanishes_is_an_error_and_can_be_found_again() {
    let machine = Machine::Microbit;
    let board = start(machine);
    let mut session = attach(&board);
    board.inject(Fault::ProbeVanishes { after: 5000 });
    let start = Instant::now();
    flash(&mut session, machine, &noise(50_000)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30));
    drop(session);
    flash(&mut attach(&board), machine, &noise(5000)).unwrap();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_board_that_dies_takes_its_probe_along() {
    let machine = Machine::Mps2An386;
    let board = start(machine);
    let mut session = attach(&board);
    board.inject(Fault::BoardDies { after: 2000 });
    flash(&mut session, machine, &noise(500_000)).unwrap_err();
    drop(session);
    assert!(try_attach(&board).is_err());
    let error = board.serve().unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_lockup_ends_the_board_with_qemus_reason() {
    let machine = Machine::Microbit;
    let board = start(machine);
    let mut session = attach(&board);
    // A stack, a program of `udf #0`, and no handlers.
    let program = [
        [0, 0x10, 0, 0x20],
        [0x11, 0, 0, 0],
        [0; 4],
        [0; 4],
        [0, 0xde, 0, 0xde],
    ];
    flash(&mut session, machine, program.as_flattened()).unwrap();
    // The probe may be gone before it can answer.
    let _ = session.core(0).unwrap().reset();
    drop(session);
    let message = board.serve().unwrap_err().to_string();
    assert!(message.contains("Lockup"), "{message}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn timers_can_count_instructions() {
    const SHIFT: u8 = 7;
    // The MPS2's dual timer, of 25 MHz.
    const LOAD: u64 = 0x4000_2000;
    const VALUE: u32 = 0x4000_2004;
    const CONTROL: u64 = 0x4000_2008;
    // 1: ldr r1, [r4]; 2: subs r0, #1; bne 2b; ldr r2, [r4]; bkpt #0
    const PROGRAM: [u16; 5] = [0x6821, 0x3801, 0xd1fd, 0x6822, 0xbe00];
    let options = Options {
        icount_shift: Some(SHIFT),
        ..Options::default()
    };
    let board = Board::start(Machine::Mps2An386, &options).unwrap();
    let mut session = attach(&board);
    let mut core = session.core(0).unwrap();
    core.reset_and_halt(SOON).unwrap();
    let ram = 0x2000_0000;
    core.write_16(ram, &PROGRAM).unwrap();
    for loops in [1000u32, 1000, 100_000] {
        core.write_word_32(CONTROL, 0).unwrap();
        core.write_word_32(LOAD, u32::MAX).unwrap();
        core.write_word_32(CONTROL, 0x82).unwrap();
        core.write_core_reg(RegisterId(0), loops).unwrap();
        core.write_core_reg(RegisterId(4), VALUE).unwrap();
        core.write_core_reg(core.program_counter(), ram as u32)
            .unwrap();
        core.run().unwrap();
        halted(&mut core);
        let mut register = |id| core.read_core_reg::<u32>(RegisterId(id)).unwrap();
        let ticks = f64::from(register(1) - register(2));
        // A read of the timer is an instruction too; a tick is 40 ns, and neither read is at the start of one.
        let instructions = f64::from(2 * loops + 1);
        let nanoseconds = instructions * f64::from(1 << SHIFT);
        assert!(
            (ticks - nanoseconds / 40.0).abs() <= 1.0,
            "{ticks} for {loops}"
        );
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn garbage_is_no_harm() {
    let board = start(Machine::Microbit);
    for seed in 0..8 {
        let mut client = TcpStream::connect(("127.0.0.1", board.port())).unwrap();
        let garbage: Vec<u8> = noise(100_000).split_off(1000 * seed);
        // The board may hang up before it has read all.
        let _ = client.write_all(&garbage);
        let _ = client.set_read_timeout(Some(Duration::from_millis(50)));
        let _ = client.read(&mut [0; 100]);
    }
    // It never says a word.
    let silent = TcpStream::connect(("127.0.0.1", board.port())).unwrap();
    drop(silent);
    let mut session = attach(&board);
    session
        .core(0)
        .unwrap()
        .write_word_32(0x2000_0000, 1)
        .unwrap();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_board_ends_while_a_client_is_connected() {
    let board = start(Machine::Microbit);
    let mut session = attach(&board);
    let start = Instant::now();
    drop(board);
    assert!(start.elapsed() < Duration::from_secs(5));
    let mut core = session.core(0);
    assert!(core.is_err() || core.as_mut().is_ok_and(|c| c.status().is_err()));
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_port_that_is_taken_is_named() {
    let board = start(Machine::Microbit);
    let options = Options {
        port: board.port(),
        ..Options::default()
    };
    let error = Board::start(Machine::Microbit, &options).unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    assert!(error.to_string().contains(&board.port().to_string()));
}

#[test]
#[ignore = "a measurement: --nocapture shows it"]
fn flashing_speed() {
    let data = noise(100 << 10);
    for machine in FLASHABLE {
        let start_up = Instant::now();
        let board = start(machine);
        let start_up = start_up.elapsed();
        let mut session = attach(&board);
        let start = Instant::now();
        flash(&mut session, machine, &data).unwrap();
        let flash = start.elapsed();
        let start = Instant::now();
        let mut core = session.core(0).unwrap();
        core.read(machine.flash().start.into(), &mut vec![0; data.len()])
            .unwrap();
        let read = start.elapsed();
        println!(
            "{machine}: started in {start_up:?}; 100 KiB flashed and verified in {flash:?}, read in {read:?}"
        );
    }
}

/// Helper, and no test: the next one kills it.
#[test]
#[ignore = "a part of no_qemu_outlives_a_killed_owner"]
fn owner() {
    if std::env::var_os("EMULATED_BOARD_OWNER").is_some() {
        let board = start(Machine::Microbit);
        println!("\nport {}", board.port());
        board.serve().unwrap();
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
#[cfg(target_os = "linux")]
fn no_qemu_outlives_a_killed_owner() {
    /// The processes that have this one as their parent and are not dead.
    fn children(parent: u32) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|p| p.file_name().to_str()?.parse().ok());
        ids.filter(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(") ").next().unwrap_or_default();
            let mut fields = after_name.split(' ');
            let state = fields.next();
            state != Some("Z") && fields.next() == Some(&parent.to_string())
        })
        .collect()
    }
    fn is_alive(id: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
        stat.is_ok_and(|s| !s.contains(") Z "))
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "owner", "--nocapture"])
        .env("EMULATED_BOARD_OWNER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("port ")));
    let qemu = children(owner.id());
    let [qemu] = qemu[..] else { panic!("{qemu:?}") };
    let name = std::fs::read_to_string(format!("/proc/{qemu}/comm")).unwrap();
    assert!(name.starts_with("qemu"), "{name}");
    let guards = children(qemu);
    assert_eq!(guards.len(), 1);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let start = Instant::now();
    while is_alive(qemu) || guards.iter().any(|&id| is_alive(id)) {
        assert!(start.elapsed() < Duration::from_secs(5), "QEMU lives on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_qemu_the_error_tells_how_to_get_it() {
    let options = Options {
        qemu: "qemu-system-none".into(),
        ..Options::default()
    };
    let error = Board::start(Machine::Microbit, &options).unwrap_err();
    assert!(matches!(error, Error::NotInstalled { .. }));
    let message = error.to_string();
    assert!(
        message.contains("qemu-system-none is not installed"),
        "{message}"
    );
    assert!(message.contains("apt install qemu-system-arm"), "{message}");
}

#[test]
fn a_qemu_that_ends_at_once_is_told_from_a_slow_one() {
    let options = Options {
        qemu: "true".into(),
        ..Options::default()
    };
    let start = Instant::now();
    let error = Board::start(Machine::Microbit, &options).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}
