//! Energy of reads and writes, J.

use crate::{Compiled, Preset};
use synop_core::crossbar::{Tally, Wires};

/// V² G t: the energy of a conductance `siemens` under `volt` for `second`.
pub fn read_j(volt: f64, siemens: f64, second: f64) -> f64 {
    volt * volt * siemens * second
}

/// V² t (G_before + G_after)/2 per pulse, `pulses` of them.
pub fn write_j(volt: f64, before_s: f64, after_s: f64, second: f64, pulses: f64) -> f64 {
    volt * volt * 0.5 * (before_s + after_s) * second * pulses
}

/// C V² of a line that passes `cells` cells.
pub fn line_j(cells: f64, farad_per_m: f64, pitch_m: f64, volt: f64) -> f64 {
    cells * farad_per_m * pitch_m * volt * volt
}

/// What a crossbar's tally costs, J by class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    /// Cells under the read voltage.
    pub read_j: f64,
    /// Up pulses.
    pub up_j: f64,
    /// Down pulses.
    pub down_j: f64,
    /// Resets of one-sided pairs; none where the device states no energy for one and there were some.
    pub reset_j: Option<f64>,
}

/// Prices a tally: charges are in states, whose conductance the device and its compilation give. The energy of wires,
/// drivers and converters is not in it.
pub fn bill(tally: &Tally, preset: &Preset, compiled: &Compiled) -> Bill {
    let unit = siemens_per_state(preset, compiled);
    let cell = &preset.cell;
    let joule = |volt: f64, ns: f64, charge: u64| read_j(volt, charge as f64 * unit, ns * 1e-9);
    let reset_j = match (tally.resets, cell.reset_pj) {
        (0, _) => Some(0.0),
        (resets, price) => price.map(|pj| pj * 1e-12 * resets as f64),
    };
    Bill {
        read_j: joule(cell.read_v, cell.read_ns, tally.charge),
        // A tally adds the conductances before and after; a pulse costs their mean.
        up_j: 0.5 * joule(cell.up_v, cell.up_ns, tally.charge_up),
        down_j: 0.5 * joule(cell.down_v, cell.down_ns, tally.charge_down),
        reset_j,
    }
}

/// Conductance of one state, S.
pub fn siemens_per_state(preset: &Preset, compiled: &Compiled) -> f64 {
    preset.siemens(compiled.offset + compiled.unit) - preset.siemens(compiled.offset)
}

/// The core's wires for this device: segment resistances in Ω, and the conductance of state 0 as pedestal (below 0
/// where the room for spread reaches under the lowest conductance).
pub fn core_wires(
    preset: &Preset,
    compiled: &Compiled,
    wires: &crate::wires::Wires,
    state_bits: u32,
) -> Wires {
    let range = siemens_per_state(preset, compiled) * f64::from(1u32 << state_bits);
    let ratio = |ohm: f64| (ohm * range / 65536.0 * 2f64.powi(48)).round().max(0.0) as u64;
    Wires {
        row_q48: ratio(wires.row_ohm),
        column_q48: ratio(wires.column_ohm),
        pedestal: (preset.siemens(compiled.offset) / range * 2f64.powi(24)).round() as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Resolution, compile};

    #[test]
    fn doubling_a_duration_doubles_only_its_class() {
        let preset = Preset::shipped("reram-es").unwrap();
        let compiled = compile(&preset, &Resolution::bare(24, 5)).unwrap();
        let tally = Tally { charge: 3 << 30, charge_up: 5 << 24, charge_down: 7 << 24, ..Tally::default() };
        let base = bill(&tally, &preset, &compiled);
        let mut longer = preset.clone();
        longer.cell.read_ns *= 2.0;
        assert_eq!(bill(&tally, &longer, &compiled), Bill { read_j: 2.0 * base.read_j, ..base });
        let mut longer = preset.clone();
        longer.cell.up_ns *= 2.0;
        assert_eq!(bill(&tally, &longer, &compiled), Bill { up_j: 2.0 * base.up_j, ..base });
    }

    #[test]
    fn one_read_of_a_full_cell_costs_v_squared_g_t() {
        let preset = Preset::shipped("pcm").unwrap();
        let compiled = compile(&preset, &Resolution::bare(24, 5)).unwrap();
        let tally = Tally { charge: 1 << 24, ..Tally::default() };
        let found = bill(&tally, &preset, &compiled).read_j;
        assert!((found / read_j(0.2, 25e-6, 128e-9) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn resets_without_a_price_are_not_free() {
        let preset = Preset::shipped("reram-es").unwrap();
        let compiled = compile(&preset, &Resolution::bare(24, 5)).unwrap();
        assert_eq!(bill(&Tally { resets: 2, ..Tally::default() }, &preset, &compiled).reset_j, None);
    }
}
