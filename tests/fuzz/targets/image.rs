#![no_main]

use zonesync_fuzz::{image, put_seeds};

libfuzzer_sys::fuzz_target!(init: put_seeds(image::seeds), |bytes: &[u8]| image::run(bytes));
