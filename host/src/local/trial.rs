//! One learner from its untrained image to a priced report.

use serde_json::json;
use sha2::{Digest, Sha256};
use synop_cost::{Bill, Chip, Run};
use synop_model::crossbar::ENERGY_UNIT_J;

use super::{Evaluation, Learner, POPULATIONS, Samples, Setup};
use crate::experiment::Checkpoint;
use crate::report::{Image, Report, SynOps, Task, Training};
use crate::simd::Native;
use crate::{Failure, ledger};

/// What is learnt from and what is asked.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Shape and constants.
    pub setup: &'a Setup,
    /// Samples to learn from.
    pub train: &'a Samples,
    /// Held-out samples.
    pub test: &'a Samples,
    /// The third factor of the rules, epoch by epoch.
    pub rates: &'a [i32],
    /// What everything is priced on.
    pub chip: &'a Chip,
}

impl Trial<'_> {
    /// Learns and evaluates; goes on from a state that `checkpoint` has kept. The report has no profile yet.
    ///
    /// # Errors
    /// Bad input: the setup or a drive does not fit an image. The work failed: a state cannot be saved.
    pub fn run(
        &self,
        label: &str,
        mut checkpoint: Checkpoint,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Report, Evaluation), Failure> {
        let blob = self.setup.image()?;
        let image = blob.image().map_err(|error| Failure::work(format_args!("{error}")))?;
        let mut arena = vec![0u64; image.memory(0..image.cores).words()];
        let mut learner = Learner::new(self.setup, image, &mut arena, Native::detect())?;
        if let Some(state) = checkpoint.load() {
            // A state that does not fit is as good as none.
            let _ = learner.restore(&state);
            progress(learner.presented());
        }
        learner.train(self.train, self.rates, |learner| {
            progress(1);
            if checkpoint.is_due() { checkpoint.store(&learner.save()) } else { Ok(()) }
        })?;
        let ticks = learner.machine.tick();
        let trained = learner.counters();
        let devices = learner.devices();
        learner.hold()?;
        let evaluation = learner.evaluate(self.test)?;

        let mut report = Report::labelled(self.setup.seed, label);
        report.image = Some(Image {
            sha256: digest(&[blob.bytes(), learner.machine.plastic()]),
            initial_sha256: Some(digest(&[blob.bytes()])),
            weight_bits: self.setup.bits,
        });
        report.task = Some(Task {
            samples: evaluation.samples as u64,
            train_samples: Some(self.train.labels.len() as u64),
            accuracy: Some(evaluation.accuracy()),
            ..Task::default()
        });
        report.counts = Some(ledger::counts(&evaluation.counters, evaluation.ticks));
        let cells = ledger::cells(self.chip, &image, &POPULATIONS, &evaluation.counters, evaluation.ticks);
        let sum = |of: fn(&synop_cost::Counts) -> u64| cells.iter().map(|c| of(&c.counts)).sum();
        report.set_synops(SynOps {
            stored: sum(|c| c.synaptic_events),
            effective: sum(|c| c.synaptic_effective),
            dense: sum(|c| c.synaptic_dense),
            macs: sum(|c| c.macs),
            acs: sum(|c| c.acs),
        });
        let latency = ledger::serial_latency(self.chip, &evaluation.per_tick);
        let untimed = Run { cores_used: 1, charge_unit_j: Some(ENERGY_UNIT_J), ..Run::default() };
        let priced = Run { time_s: latency.as_ref().map(|l| l.total_s), ..untimed.clone() };
        report.energy = Some(Bill::of(self.chip, &cells, &priced));
        report.latency = latency;
        let cells = ledger::cells(self.chip, &image, &POPULATIONS, &trained, ticks);
        report.training = Some(Training {
            samples: learner.presented(),
            counts: ledger::counts(&trained, ticks),
            energy: Some(Bill::of(self.chip, &cells, &untimed)),
        });
        if let Some(devices) = devices {
            if devices.stale_pulses > 0 {
                report.warnings.push(
                    "learning ended between two refreshes of the drop along wires: crossbar.stale_pulses says how many \
                     pulses the drop does not know of, refresh_ticks how often it is found anew"
                        .into(),
                );
            }
            report.more.insert("crossbar".into(), json!(devices));
        }
        report.more.insert("spikes_per_sample".into(), json!(evaluation.spikes_per_sample()));
        let shares: Vec<f64> = learner
            .right_by_epoch()
            .iter()
            .map(|right| *right as f64 / self.train.labels.len().max(1) as f64)
            .collect();
        report.more.insert("online_accuracy".into(), json!(shares));
        Ok((report, evaluation))
    }
}

/// SHA-256 of parts one after the other, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
