//! Debug probes.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::Duration;

use probe_rs::probe::list::{Accessibility, Lister};
use probe_rs::probe::{DebugProbeSelector, Probe};
use serde::Serialize;

use super::watchdog::{OPENING, Watch};
use crate::advice::{Advice, Advised};

/// The longest that a probe in the network is waited for, to learn why it could not be opened.
const REACHING: Duration = Duration::from_secs(2);

/// Reasons why there is no probe to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No probe.
    #[error("no debug probe is connected")]
    None,
    /// Several probes.
    #[error("{} debug probes are connected, and none was chosen: {}", found.len(), list(found))]
    Several {
        /// All of them.
        found: Vec<ProbeInfo>,
    },
    /// A selector cannot be read.
    #[error("{text:?} selects no probe: {source}")]
    Selector {
        /// The selector.
        text: String,
        /// The fault in it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The chosen probe cannot be opened.
    #[error("the probe {selector} cannot be opened: {source}")]
    Open {
        /// The probe.
        selector: String,
        /// probe-rs's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Advised for ProbeError {
    fn advice(&self) -> Vec<Advice> {
        vec![match self {
            Self::None => Advice::ConnectProbe,
            Self::Several { .. } => Advice::ChooseProbe,
            Self::Open { selector, .. } if selector.contains(":tcp:") => Advice::StartEmulatedBoard,
            Self::Open { .. } => Advice::ListProbes,
            Self::Selector { .. } => return Vec::new(),
        }]
    }
}

fn list(probes: &[ProbeInfo]) -> String {
    let names: Vec<String> = probes.iter().map(ToString::to_string).collect();
    names.join("; ")
}

/// A connected probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeInfo {
    /// Name that it gives.
    pub name: String,
    /// Selector of the probe: vendor, product and, if it has one, serial number.
    pub selector: String,
    /// Its serial number.
    pub serial: Option<String>,
    /// `true` if this user may open it.
    pub accessible: bool,
}

impl fmt::Display for ProbeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.selector, self.name)?;
        if self.accessible {
            Ok(())
        } else {
            f.write_str(", which this user may not open")
        }
    }
}

/// The connected probes. Those that are reached by network are not among them, but
/// [`Selector`] names them.
#[must_use]
pub fn probes() -> Vec<ProbeInfo> {
    let _watch = Watch::new("when probes were looked for", OPENING);
    let mut found: Vec<ProbeInfo> = Lister::new()
        .list_all_with_access()
        .into_iter()
        .map(|item| ProbeInfo {
            name: item.info.identifier.clone(),
            selector: DebugProbeSelector::from(&item.info).to_string(),
            serial: item.info.serial_number.clone(),
            accessible: item.accessibility == Accessibility::Accessible,
        })
        .collect();
    found.sort_by(|a, b| (&a.selector, &a.name).cmp(&(&b.selector, &b.name)));
    found
}

/// Names one probe: `VID:PID`, `VID:PID:SERIAL` or `VID:PID-INTERFACE:SERIAL`, the numbers in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(DebugProbeSelector);

impl FromStr for Selector {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        text.parse()
            .map(Self)
            .map_err(|source| ProbeError::Selector {
                text: text.to_owned(),
                source: Box::new(source),
            })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text that selects every connected probe.
pub const ALL: &str = "all";

/// The probes that texts select, each once: of each text those connected ones that it fits, and all of them of
/// [`ALL`]. A text that fits none is one by itself, such as a probe that is reached by network.
///
/// # Errors
/// [`ProbeError::Selector`], if a text is no selector; [`ProbeError::None`], if there is none for [`ALL`].
pub fn selected(texts: &[String]) -> Result<Vec<Selector>, ProbeError> {
    let connected = probes();
    let connected: Result<Vec<_>, _> = connected.iter().map(|p| p.selector.parse()).collect();
    among(texts, &connected?)
}

/// Those of the connected probes that texts select, and those that are not among them.
fn among(texts: &[String], connected: &[Selector]) -> Result<Vec<Selector>, ProbeError> {
    let mut found = Vec::new();
    for text in texts {
        let fitting = match text.as_str() {
            ALL if connected.is_empty() => return Err(ProbeError::None),
            ALL => connected.to_vec(),
            text => {
                let selector: Selector = text.parse()?;
                let fitting = connected.iter().filter(|other| selector.fits(other));
                let fitting: Vec<Selector> = fitting.cloned().collect();
                if fitting.is_empty() {
                    vec![selector]
                } else {
                    fitting
                }
            }
        };
        for selector in fitting {
            if !found.contains(&selector) {
                found.push(selector);
            }
        }
    }
    Ok(found)
}

impl Selector {
    /// Tells whether it means a probe, whose own selector is `other`.
    fn fits(&self, other: &Self) -> bool {
        let (Self(own), Self(other)) = (self, other);
        let serial = own.serial_number.as_ref();
        (own.vendor_id, own.product_id) == (other.vendor_id, other.product_id)
            && own.interface.is_none_or(|own| other.interface == Some(own))
            && serial.is_none_or(|own| other.serial_number.as_ref() == Some(own))
    }
}

/// Opens the chosen probe, or the only one.
pub(super) fn open(selector: Option<&Selector>) -> Result<Probe, ProbeError> {
    let selector = match selector {
        Some(selector) => selector.clone(),
        None => only(probes())?,
    };
    let _watch = Watch::new("when it was opened", OPENING);
    Lister::new()
        .open(selector.0.clone())
        .map_err(|source| ProbeError::Open {
            selector: selector.to_string(),
            source: match unreachable(&selector) {
                Some(reason) => reason.into(),
                None => Box::new(source),
            },
        })
}

/// Reason why a probe in the network cannot be reached, if it cannot. probe-rs tells of the last kind of probe that it
/// has tried, which may have been another.
fn unreachable(selector: &Selector) -> Option<String> {
    let address = selector.0.serial_number.as_ref()?.strip_prefix("tcp:")?;
    let reached = address.to_socket_addrs().and_then(|addresses| {
        let mut reached = Err(std::io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            reached = TcpStream::connect_timeout(&address, REACHING).map(drop);
            if reached.is_ok() {
                break;
            }
        }
        reached
    });
    let reason = reached.err()?;
    Some(format!("{address}: {reason}"))
}

/// The selector of the only one of some probes.
fn only(found: Vec<ProbeInfo>) -> Result<Selector, ProbeError> {
    match found.as_slice() {
        [] => Err(ProbeError::None),
        [one] => one.selector.parse(),
        _ => Err(ProbeError::Several { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(serial: &str) -> ProbeInfo {
        ProbeInfo {
            name: "ST-Link V3".into(),
            selector: format!("0483:374f:{serial}"),
            serial: Some(serial.into()),
            accessible: serial != "B2",
        }
    }

    #[test]
    fn only_one_probe_needs_no_choice() {
        assert!(matches!(only(vec![]), Err(ProbeError::None)));
        let chosen = only(vec![probe("A1")]).unwrap();
        assert_eq!(chosen.to_string(), "0483:374f:A1");
        let error = only(vec![probe("A1"), probe("B2")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("2 debug probes"), "{error}");
        assert!(error.contains("0483:374f:A1 (ST-Link V3);"), "{error}");
        assert!(
            error.contains("0483:374f:B2 (ST-Link V3), which this user may not open"),
            "{error}"
        );
    }

    #[test]
    fn a_selector_means_every_probe_that_it_fits() {
        let connected: Vec<Selector> = ["0483:374f:A1", "0483:374f:B2", "1366:1015:C3"]
            .map(|text| text.parse().unwrap())
            .into();
        let selected = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
            let found = among(&texts, &connected)?;
            Ok::<Vec<String>, ProbeError>(found.iter().map(ToString::to_string).collect())
        };
        let both = ["0483:374f:A1", "0483:374f:B2"];
        assert_eq!(selected(&["0483:374f"]).unwrap(), both);
        assert_eq!(selected(&["0483:374f:B2"]).unwrap(), both[1..]);
        assert_eq!(selected(&["0483:374f:A1", "0483:374f"]).unwrap(), both);
        assert_eq!(selected(&["all"]).unwrap().len(), 3);
        let far = "ffff:ffff:tcp:127.0.0.1:4000";
        assert_eq!(
            selected(&[far, "1366:1015"]).unwrap(),
            [far, "1366:1015:C3"]
        );
        assert!(matches!(
            selected(&["every"]),
            Err(ProbeError::Selector { .. })
        ));
        assert!(matches!(among(&["all".into()], &[]), Err(ProbeError::None)));
    }

    #[test]
    fn a_selector_that_is_none_says_what_it_should_be() {
        let error = "stlink".parse::<Selector>().unwrap_err().to_string();
        assert!(
            error.contains("stlink") && error.contains("VID:PID"),
            "{error}"
        );
    }

    #[test]
    fn a_probe_in_the_network_says_why_it_cannot_be_reached() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let far: Selector = format!("20b7:9db1:tcp:127.0.0.1:{port}").parse().unwrap();
        assert_eq!(unreachable(&far), None);
        drop(listener);
        let said = open(Some(&far)).unwrap_err().to_string();
        assert!(said.contains("refused") && !said.contains("USB"), "{said}");
        let nobody: Selector = "20b7:9db1:tcp:no.such.host.invalid:1".parse().unwrap();
        assert!(unreachable(&nobody).is_some());
        assert_eq!(unreachable(&"0483:374f".parse().unwrap()), None);
    }
}
