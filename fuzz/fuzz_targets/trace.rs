#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (synop_tests::readers::reader("trace").read)(bytes));
