//! Files of `wharf plan --save`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_deploy::api::SavedPlan;

fuzz_target!(|text: &[u8]| {
    if let Ok(plan) = SavedPlan::read(text) {
        let again = serde_json::to_vec(&plan).expect("plain records are JSON");
        assert_eq!(SavedPlan::read(&again), Ok(plan));
    }
});
