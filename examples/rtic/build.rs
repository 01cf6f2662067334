//! Tells the linker where memory.x and the sections' layout are.

fn main() {
    let folder = env!("CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
