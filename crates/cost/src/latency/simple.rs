//! The busiest core decides: the sum of what it sends or of what it receives. Links are free.

use super::{Latest, Message, Reason, TickTime};
use std::collections::BTreeMap;

pub(super) fn tick(messages: &[Message]) -> TickTime {
    let mut sending: BTreeMap<u32, f64> = BTreeMap::new();
    let mut receiving: BTreeMap<u32, f64> = BTreeMap::new();
    for m in messages {
        *sending.entry(m.source).or_default() += m.generation_s;
        if let Some(d) = m.destination {
            *receiving.entry(d).or_default() += m.processing_s;
        }
    }
    let mut latest = Latest::new();
    for (&core, &s) in &sending {
        latest.see(s, core, Reason::Generation);
    }
    for (&core, &s) in &receiving {
        latest.see(s, core, Reason::Processing);
    }
    latest.into_tick(0.0)
}
