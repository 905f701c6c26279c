//! Names the shared library for the loader: programs ask for `libzonesync.so.0`, whatever the file
//! was called that they were linked with.

/// Grows when a program linked with an older library can no longer run with this one.
const ABI_MAJOR: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libzonesync.so.{ABI_MAJOR}");
    }
}
