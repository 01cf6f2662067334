//! Hands the linker esp-hal's script, which places programs in flash.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tlinkall.x");
}
