//! Any bytes as something that netkeel stored: a journal, a ledger, a snapshot, a saved plan. They
//! are read or refused, and what is read of a journal holds together.

#![no_main]

use libfuzzer_sys::fuzz_target;

use netkeel_apply::journal::Journal;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::saved::SavedPlan;
use netkeel_plan::ledger::Ledger;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(Some(journal)) = Journal::read(text) {
        assert!(journal.begun <= journal.entries.len());
        journal.undo().for_each(drop);
        journal.rest().for_each(drop);
        journal.claims().for_each(drop);
    }
    if let Ok(ledger) = Ledger::read(text) {
        let again = Ledger::read(&ledger.compact(String::new()).unwrap()).unwrap();
        assert!(ledger.claims().eq(again.claims()));
    }
    let _ = Snapshot::from_json(text);
    let _ = SavedPlan::read(text);
});
