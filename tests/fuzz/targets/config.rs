#![no_main]

use zonesync_fuzz::{config, put_seeds};

libfuzzer_sys::fuzz_target!(init: put_seeds(config::seeds), |bytes: &[u8]| config::run(bytes));
