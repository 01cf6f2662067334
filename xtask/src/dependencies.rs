//! What the workspace depends on has a licence and a source that deny.toml allows.
//!
//! cargo-deny reads the same file and does more, but is not everywhere; this needs `cargo metadata` alone.

use std::fs;

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};
use tinyspike_board::shell::{self, Failure};

/// The part of deny.toml that is checked here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Sources {
    #[serde(rename = "allow-registry")]
    allow_registry: Vec<String>,
}

/// The part of `cargo metadata` that is checked.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// An SPDX expression, in old packages with `/` for `OR`.
    license: Option<String>,
    /// None in the workspace itself.
    source: Option<String>,
}

/// Compares every package with deny.toml.
///
/// # Errors
/// [`Failure::Argument`] with each package that is not allowed; [`Failure`] where deny.toml or the list of
/// packages cannot be read.
pub fn check() -> Result<(), Failure> {
    let path = shell::root().join("deny.toml");
    let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    let rules: Rules =
        toml::from_str(&text).map_err(|e| Failure::Argument(format!("{}: {e}", path.display())))?;
    let arguments = ["metadata", "--format-version", "1", "--all-features"];
    let metadata = shell::read(shell::cargo().args(arguments)).ok_or_else(|| Failure::Missing {
        what: "the list of packages".into(),
        advice: "run `cargo metadata --all-features`, which says what is wrong".into(),
    })?;
    let metadata: Metadata = serde_json::from_str(&metadata)
        .map_err(|e| Failure::Argument(format!("cargo metadata: {e}")))?;
    let faults: Vec<String> = faults(&rules, &metadata)?;
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "deny.toml does not allow:\n  {}",
        faults.join("\n  ")
    )))
}

fn faults(rules: &Rules, metadata: &Metadata) -> Result<Vec<String>, Failure> {
    let allowed = (rules.licenses.allow.iter())
        .map(|name| Licensee::parse(name).map_err(|e| Failure::Argument(format!("deny.toml: {e}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let name = format!("{} {}", package.name, package.version);
        if let Some(source) = &package.source {
            let known = |index: &String| source == &format!("registry+{index}");
            if !rules.sources.allow_registry.iter().any(known) {
                faults.push(format!("{name}, from {source}"));
            }
        }
        let Some(license) = &package.license else {
            faults.push(format!("{name}, which states no licence"));
            continue;
        };
        let parsed = Expression::parse_mode(license, ParseMode::LAX);
        let fits = parsed.is_ok_and(|expression| {
            expression.evaluate(|needed| allowed.iter().any(|one| one.satisfies(needed)))
        });
        if !fits {
            faults.push(format!("{name}, of licence {license}"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(license: Option<&str>, source: Option<&str>) -> bool {
        let rules = Rules {
            licenses: Licenses {
                allow: vec!["MIT".into(), "Apache-2.0 WITH LLVM-exception".into()],
            },
            sources: Sources {
                allow_registry: vec!["https://known".into()],
            },
        };
        let metadata = Metadata {
            packages: vec![Package {
                name: "a".into(),
                version: "1.0.0".into(),
                license: license.map(str::to_owned),
                source: source.map(str::to_owned),
            }],
        };
        !faults(&rules, &metadata).unwrap().is_empty()
    }

    #[test]
    fn licences_are_expressions() {
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-2.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(!refused(Some(good), None), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "Apache-2.0",
            "MIT AND",
            "mine",
        ] {
            assert!(refused(Some(bad), None), "{bad}");
        }
        assert!(refused(None, None));
    }

    #[test]
    fn sources_are_known() {
        assert!(!refused(Some("MIT"), Some("registry+https://known")));
        assert!(refused(Some("MIT"), Some("registry+https://other")));
        assert!(refused(Some("MIT"), Some("git+https://known")));
    }

    #[test]
    fn the_workspace_depends_on_what_is_allowed() {
        if let Err(failure) = check() {
            panic!("{failure}");
        }
    }
}
