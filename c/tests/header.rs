//! The header is what its sources say.

use std::path::Path;

use cbindgen::{Builder, Config};
use tinyspike_c::size;

/// Variable that has the test write the header instead.
const WRITE: &str = "TINYSPIKE_WRITE_HEADER";

#[test]
fn the_header_is_made_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut start = config.after_includes.unwrap();
    for (name, value) in [
        ("@BASE@", size::TINYSPIKE_STATE_BASE),
        ("@POINTERS@", size::TINYSPIKE_STATE_POINTERS),
        ("@ENSEMBLE@", size::TINYSPIKE_STATE_ENSEMBLE),
        ("@CONNECTION@", size::TINYSPIKE_STATE_CONNECTION),
    ] {
        start = start.replace(name, &value.to_string());
    }
    config.after_includes = Some(start);
    let mut builder = Builder::new().with_config(config);
    for source in ["size", "status", "callback", "calls"] {
        builder = builder.with_src(root.join("src").join(source).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    // What rustdoc reads becomes what a C programmer reads.
    let header = header.replace("# Safety", "The caller promises:");
    let header = header.replace("[`", "").replace("`]", "").replace('`', "");
    let path = root.join("include/tinyspike.h");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert!(
        stored == header,
        "c/include/tinyspike.h is not made of these sources: run `{WRITE}=1 cargo test -p tinyspike-c --test header`"
    );
}
