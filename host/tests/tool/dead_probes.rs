//! Probes that are there and do not work, each as a server of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::tool::{text, tinyspike};

/// Behaviour of a probe server towards a client.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// Reads, and does not answer.
    Silent,
    /// Does not even read.
    Frozen,
    /// Sends without an end.
    Endless(u8),
    /// Sends a part of an answer.
    Half,
    /// Hangs up in order.
    Closing,
}

impl Server {
    /// Serves one client until that is gone: the port.
    fn start(self) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    match self {
                        Self::Silent => while client.read(&mut bytes).is_ok_and(|n| n > 0) {},
                        Self::Frozen => std::thread::sleep(Duration::from_secs(600)),
                        Self::Endless(byte) => while client.write_all(&[byte; 4096]).is_ok() {},
                        Self::Half => {
                            let _ = client.write_all(b"\x0e\x00pro");
                            while client.read(&mut bytes).is_ok_and(|n| n > 0) {}
                        }
                        Self::Closing => {}
                    }
                });
            }
        });
        port
    }
}

/// Gives a command each kind of probe: it ends in time, with exit code 1 and one paragraph.
pub(crate) fn end(command: &[&str]) {
    std::thread::scope(|scope| {
        for server in [
            Server::Silent,
            Server::Frozen,
            Server::Endless(1),
            Server::Endless(0),
            Server::Half,
            Server::Closing,
        ] {
            scope.spawn(move || {
                let probe = format!("20b7:9db1:tcp:127.0.0.1:{}", server.start());
                let what = format!("{} and {server:?}", command[0]);
                let start = Instant::now();
                let output = tinyspike(&[command, &["--probe", &probe]].concat());
                let message = text(&output.stderr);
                assert!(start.elapsed() < Duration::from_secs(60), "{what}");
                assert_eq!(output.status.code(), Some(1), "{what}: {message}");
                assert!(
                    message.contains("probe") && message.contains("hint: "),
                    "{what}: {message}"
                );
                let errors = message.lines().filter(|line| line.starts_with("error: "));
                assert_eq!(errors.count(), 1, "{what}: {message}");
            });
        }
    });
}
