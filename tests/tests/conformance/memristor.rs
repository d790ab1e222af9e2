//! Devices and crossbars: pulse curves in float and through the integer device, drift, converters, wires,
//! passive arrays, energies.
//!
//! A case is a JSON file; each section may be absent, but not all. Keys that name another library are its
//! observations and are not compared.

use super::{Kind, Outcome};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use synop_core::device::{self, Direction};
use synop_device::converter::{Code, Converter, Ties};
use synop_device::passive::{self, Biasing};
use synop_device::potentiation::{Potentiation, constant};
use synop_device::programming::{Drift, ProgrammingNoise, ReadNoise};
use synop_device::switching::Vteam;
use synop_device::wires::{self, Wires};
use synop_device::{Compiled, Law, Preset, Resolution, Steps, compile, energy};

pub(crate) const KIND: Kind = Kind { name: "memristor", cases, check };

type Check = Result<(), String>;

fn cases(folder: &Path) -> Vec<(String, PathBuf)> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let json = paths.filter(|p| p.extension().is_some_and(|e| e == "json"));
    json.map(|p| (p.file_stem().unwrap_or_default().to_string_lossy().into_owned(), p)).collect()
}

fn check(path: &Path) -> Result<Outcome, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let mut sections = 0;
    for (section, check) in [
        ("pulse_response", pulse_curves as fn(&Value) -> Check),
        ("neurosim_PD", potentiation),
        ("vteam", vteam),
        ("pcm", pcm),
        ("mvm8", product),
        ("ir_drop", ir_drop),
        ("sneak", sneak),
        ("energy_formula", energies),
    ] {
        if let Some(value) = file.get(section) {
            check(value).map_err(|why| format!("{section}: {why}"))?;
            sections += 1;
        }
    }
    match sections {
        0 => Err("no known section".to_owned()),
        _ => Ok(Outcome::Agrees),
    }
}

// --- reading -----------------------------------------------------------------------------------------------

fn get<'a>(v: &'a Value, key: &str) -> Result<&'a Value, String> {
    v.get(key).ok_or_else(|| format!("no `{key}`"))
}

fn number(v: &Value, key: &str) -> Result<f64, String> {
    get(v, key)?.as_f64().ok_or_else(|| format!("`{key}` is no number"))
}

fn count(v: &Value, key: &str) -> Result<usize, String> {
    let n = number(v, key)?;
    if n >= 0.0 && n.fract() == 0.0 { Ok(n as usize) } else { Err(format!("`{key}` is {n}, no count")) }
}

fn object<'a>(v: &'a Value, key: &str) -> Result<&'a Map<String, Value>, String> {
    get(v, key)?.as_object().ok_or_else(|| format!("`{key}` is no object"))
}

/// All numbers below a value, in order: a list, or a list of lists.
fn flat(v: &Value) -> Result<Vec<f64>, String> {
    match v {
        Value::Array(list) => Ok(list.iter().map(flat).collect::<Result<Vec<_>, _>>()?.concat()),
        other => other.as_f64().map(|n| vec![n]).ok_or_else(|| format!("{other} is no number")),
    }
}

fn list(v: &Value, key: &str) -> Result<Vec<f64>, String> {
    flat(get(v, key)?).map_err(|why| format!("`{key}`: {why}"))
}

fn observation(key: &str) -> bool {
    key.contains("aihwkit") || key.contains("crosssim") || key.starts_with("max_abs_diff")
}

/// Every pair within `relative` of the expected value plus `absolute`.
fn agree(what: &str, found: &[f64], expected: &[f64], relative: f64, absolute: f64) -> Check {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
    }
    for (k, (f, e)) in found.iter().zip(expected).enumerate() {
        let close = (f - e).abs() <= relative * e.abs() + absolute;
        if !close {
            return Err(format!(
                "{what}[{k}]: found {f}, expected {e} (tolerance {relative:e} relative, {absolute:e})"
            ));
        }
    }
    Ok(())
}

fn agree_one(what: &str, found: f64, expected: f64, relative: f64, absolute: f64) -> Check {
    agree(what, &[found], &[expected], relative, absolute)
}

/// The numbers in a text, each with the unit that follows it.
fn quantities(text: &str) -> Vec<(f64, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit() || c == '.') {
        let signed = at > 0 && matches!(rest.as_bytes()[at - 1], b'-' | b'+');
        let start = if signed && (at < 2 || rest.as_bytes()[at - 2] == b' ') { at - 1 } else { at };
        let tail = &rest[start..];
        let end = tail[1..].find(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(tail.len(), |e| e + 1);
        let unit = tail[end..].trim_start().split([' ', ',', ')', ';']).next();
        // A number inside a word (a name such as HfO2) is no quantity.
        let inside = start > 0 && rest.as_bytes()[start - 1].is_ascii_alphabetic();
        if let (Ok(value), Some(unit), false) = (tail[..end].parse(), unit, inside) {
            found.push((value, unit.to_owned()));
        }
        rest = &tail[end..];
    }
    found
}

// --- pulse curves ------------------------------------------------------------------------------------------

fn pulse_curves(section: &Value) -> Check {
    let curves = section.as_object().ok_or("no object")?;
    for (name, case) in curves {
        pulse_curve(case).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn steps_of(case: &Value) -> Result<Steps, String> {
    let p = get(case, "params")?;
    let n = |key: &str| number(p, key);
    let law = match get(case, "model")?.as_str().unwrap_or_default() {
        "ConstantStep" => Law::Constant {},
        "LinearStep" => Law::Linear { gamma_up: n("gamma_up")?, gamma_down: n("gamma_down")? },
        "SoftBounds" => Law::SoftBounds {},
        "SoftBoundsPmax" => Law::SoftBoundsPmax { p_max: n("p_max")?, alpha: n("alpha")? },
        "ExpStep" => Law::Exponential {
            a_up: n("A_up")?,
            a_down: n("A_down")?,
            gamma_up: n("gamma_up")?,
            gamma_down: n("gamma_down")?,
            a: n("a")?,
            b: n("b")?,
        },
        "PowStep" => Law::Power { gamma: n("pow_gamma")? },
        "PiecewiseStep" => Law::Piecewise { up: list(p, "piecewise_up")?, down: list(p, "piecewise_down")? },
        other => return Err(format!("unknown model `{other}`")),
    };
    let optional = |key: &str| p.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    Ok(Steps {
        dw_min: optional("dw_min"),
        up_down: optional("up_down"),
        w_min: n("w_min")?,
        w_max: n("w_max")?,
        law,
    })
}

fn pulse_curve(case: &Value) -> Check {
    let steps = steps_of(case)?;
    let expected = list(case, "trajectory")?;
    let (up, down) = (count(case, "n_up")?, count(case, "n_down")?);
    let start = number(case, "w0")?;
    let exact = steps.trajectory(start, up, down);
    // Values are printed to ten digits.
    agree("trajectory in float64", &exact, &expected, 1e-9, 1e-10)?;
    agree_one("w_after_up", exact[up], number(case, "w_after_up")?, 1e-9, 1e-10)?;
    agree_one("w_end", exact[up + down], number(case, "w_end")?, 1e-9, 1e-10)?;
    for (entry, bound) in object(case, "integer_lut_max_abs_error")? {
        let bound = bound.as_f64().ok_or_else(|| format!("{entry} is no number"))?;
        integer_curve(&steps, entry, bound, start, up, &expected).map_err(|why| format!("{entry}: {why}"))?;
    }
    Ok(())
}

/// Runs the integer device with the bits and nodes that `entry` names; its largest error must be the entry's to two
/// units of the state.
fn integer_curve(steps: &Steps, entry: &str, bound: f64, start: f64, up: usize, expected: &[f64]) -> Check {
    let (bits, nodes) =
        entry.strip_prefix("state").and_then(|e| e.split_once("_lut")).ok_or("unknown entry")?;
    let bits: u32 = bits.parse().map_err(|_| "unknown bits")?;
    let nodes: u32 = nodes.parse().map_err(|_| "unknown nodes")?;
    let compiled = bare(steps, bits, (nodes - 1).ilog2())?;
    let class = compiled.class().map_err(|e| e.to_string())?;
    let nominal = class.nominal();
    let mut state = compiled.state(start, class.top());
    let mut worst = (compiled.weight(state) - expected[0]).abs();
    for (pulse, expected) in expected[1..].iter().enumerate() {
        let direction = if pulse < up { Direction::Up } else { Direction::Down };
        state = class.pulse(state, direction, &nominal, 0);
        worst = worst.max((compiled.weight(state) - expected).abs());
    }
    match (worst - bound).abs() <= 2.0 * compiled.unit {
        true => Ok(()),
        false => {
            Err(format!("largest error {worst:e}, expected {bound:e} to two units of {:e}", compiled.unit))
        }
    }
}

/// A law compiled alone, without anything random.
fn bare(steps: &Steps, state_bits: u32, log2_segments: u32) -> Result<Compiled, String> {
    let mut preset = Preset::shipped("reram-es").map_err(|e| e.to_string())?;
    preset.steps = steps.clone();
    compile(&preset, &Resolution::bare(state_bits, log2_segments)).map_err(|e| e.to_string())
}

fn potentiation(section: &Value) -> Check {
    let p = get(section, "params")?;
    let (low, high) = (number(p, "Gmin")?, number(p, "Gmax")?);
    let curve = Potentiation {
        levels_up: number(p, "levels_up")?,
        levels_down: number(p, "levels_down")?,
        nonlinearity_up: number(p, "NL_up")?,
        nonlinearity_down: number(p, "NL_down")?,
    };
    let siemens = |g: f64| low + g * (high - low);
    let mut g = 0.0;
    let mut trajectory = vec![siemens(g)];
    for pulse in 0..(curve.levels_up + curve.levels_down) as usize {
        g = if pulse < curve.levels_up as usize { g + curve.up(g) } else { g - curve.down(g) };
        trajectory.push(siemens(g));
    }
    agree("trajectory_S", &trajectory, &list(section, "trajectory_S")?, 1e-6, 0.0)?;
    let (up, down) = (constant(curve.nonlinearity_up), constant(curve.nonlinearity_down));
    agree_one("A_norm_up", up, number(section, "A_norm_up")?, 1e-6, 0.0)?;
    agree_one("A_norm_down", down, number(section, "A_norm_down")?, 1e-6, 0.0)?;
    agree_one("A_up_pulses", up * curve.levels_up, number(section, "A_up_pulses")?, 1e-6, 0.0)?;
    agree_one("A_down_pulses", down * curve.levels_down, number(section, "A_down_pulses")?, 1e-6, 0.0)?;
    agree_one("K_label", synop_device::potentiation::LABEL_SCALE, number(section, "K_label")?, 0.0, 0.0)?;
    let plus = siemens(0.5 + curve.up(0.5));
    let minus = siemens(0.5 - curve.down(0.5));
    agree_one("mid_state_plus1_S", plus, number(section, "mid_state_plus1_S")?, 1e-6, 0.0)?;
    agree_one("mid_state_minus1_S", minus, number(section, "mid_state_minus1_S")?, 1e-6, 0.0)?;
    for (label, expected) in object(section, "A_table_check")? {
        let label: f64 = label.parse().map_err(|_| format!("label `{label}`"))?;
        let expected = expected.as_f64().ok_or("no number in A_table_check")?;
        agree_one(&format!("A of label {label}"), constant(label), expected, 1e-6, 0.0)?;
    }
    Ok(())
}

/// `pulses` reads: x0 = …; N pulses of ±V V x K Euler steps (…), then N pulses of ±V V x K Euler steps (…).
fn vteam(section: &Value) -> Check {
    let p = get(section, "params")?;
    let model = Vteam {
        r_on_ohm: number(p, "r_on")?,
        r_off_ohm: number(p, "r_off")?,
        length_m: number(p, "d")?,
        k_on_m_per_s: number(p, "k_on")?,
        k_off_m_per_s: number(p, "k_off")?,
        alpha_on: number(p, "alpha_on")?,
        alpha_off: number(p, "alpha_off")?,
        v_on: number(p, "v_on")?,
        v_off: number(p, "v_off")?,
        dt_s: number(p, "dt")?,
    };
    let text = get(section, "pulses")?.as_str().ok_or("`pulses` is no text")?;
    let told = quantities(text);
    let mut x = told
        .iter()
        .find(|(_, unit)| unit == "(LRS" || unit == "(HRS")
        .ok_or("no initial state in `pulses`")?
        .0;
    let (mut states, mut ohms) = (Vec::new(), Vec::new());
    let mut pulses = 0.0;
    let mut volt = 0.0;
    for (value, unit) in &told {
        match unit.as_str() {
            "pulses" => pulses = *value,
            "V" => volt = *value,
            "Euler" => {
                for _ in 0..pulses as usize {
                    x = model.pulse(x, volt, *value as usize);
                    states.push(x);
                    ohms.push(model.resistance(x));
                }
            }
            _ => {}
        }
    }
    agree("x_m", &states, &list(section, "x_m")?, 1e-6, 0.0)?;
    agree("R_ohm", &ohms, &list(section, "R_ohm")?, 1e-6, 0.0)
}

// --- programming and drift ---------------------------------------------------------------------------------

fn pcm(section: &Value) -> Check {
    let (g_max, start) = (number(section, "g_max_uS")?, number(section, "t0_s")?);
    let times = list(section, "times_s")?;
    for (nu, expected) in object(section, "drift")? {
        let expected = flat(expected)?;
        let nu: f64 = nu.parse().map_err(|_| format!("ν `{nu}`"))?;
        drift(nu, start, &times, &expected).map_err(|why| format!("ν = {nu}: {why}"))?;
    }
    let noise =
        ProgrammingNoise { coefficients: list(section, "prog_coeff")?, normalised: true, reference_us: 25.0 };
    let law = Drift { start_s: start, ..Drift::pcm() };
    let read = ReadNoise { read_s: number(section, "t_read_s")?, ..ReadNoise::pcm() };
    let shares = list(section, "g_rel")?;
    let each = |f: &dyn Fn(f64) -> f64| shares.iter().map(|x| f(*x)).collect::<Vec<_>>();
    agree("nu_mean", &each(&|x| law.mean.at(x)), &list(section, "nu_mean")?, 1e-8, 0.0)?;
    agree("nu_std", &each(&|x| law.deviation.at(x)), &list(section, "nu_std")?, 1e-8, 0.0)?;
    let programming = each(&|x| noise.deviation_us(x * g_max, g_max));
    agree("sigma_prog_uS", &programming, &list(section, "sigma_prog_uS")?, 1e-8, 0.0)?;
    agree("Q_s", &each(&|x| read.strength(x)), &list(section, "Q_s")?, 1e-8, 0.0)?;
    for (time, expected) in object(section, "rel_read_noise_std")? {
        let t: f64 = time.parse().map_err(|_| format!("time `{time}`"))?;
        // The listed time is absolute; the formula adds t₀ to the time since programming, so t is t₀'s own.
        agree(
            &format!("rel_read_noise_std at {t} s"),
            &each(&|x| read.deviation(x, t)),
            &flat(expected)?,
            1e-8,
            0.0,
        )?;
    }
    if let Some(bound) = section.pointer("/integer_drift_max_rel_error/lut33").and_then(Value::as_f64) {
        let worst = DRIFTS.iter().map(|nu| worst_drift(*nu, start, &times)).fold(0.0, f64::max);
        if worst > bound {
            return Err(format!("integer drift: error {worst:e}, expected {bound:e} at most"));
        }
    }
    sampled(section, "sampled_nu_at_grel_0.2", law.mean.at(0.2), law.deviation.at(0.2))?;
    sampled(section, "sampled_prog_at_grel_0.2", 0.2 * g_max, noise.deviation_us(0.2 * g_max, g_max))
}

const DRIFTS: [f64; 4] = [0.02, 0.049, 0.06, 0.1];

/// The integer device's drift of 10 µS, held in 24 bits of 25 µS; µS.
fn integer_drift(nu: f64, start: f64, time: f64) -> f64 {
    let unit = 25.0 / f64::from(1 << 24);
    let nu = (nu * f64::from(1 << 24)).round() as u32;
    // Times in milliseconds, so that a start of less than a second would do as well.
    let stamp = |s: f64| (s * 1e3).round() as u64;
    f64::from(device::drift((10.0 / unit).round() as u32, stamp(start), stamp(time), nu)) * unit
}

fn worst_drift(nu: f64, start: f64, times: &[f64]) -> f64 {
    times
        .iter()
        .map(|t| (integer_drift(nu, start, *t) / (10.0 * (t / start).powf(-nu)) - 1.0).abs())
        .fold(0.0, f64::max)
}

fn drift(nu: f64, start: f64, times: &[f64], expected: &[f64]) -> Check {
    let law = Drift { start_s: start, ..Drift::pcm() };
    let exact: Vec<f64> = times.iter().map(|t| 10.0 * law.factor(t - start, nu)).collect();
    agree("float64", &exact, expected, 1e-8, 0.0)?;
    let integer: Vec<f64> = times.iter().map(|t| integer_drift(nu, start, *t)).collect();
    agree("integers", &integer, expected, 1.4e-4, 0.0)?;
    // Beyond the listed times: to 1e9 s, against the formula, densely.
    let dense: Vec<f64> =
        (0..400).map(|k| (start * 10f64.powf(f64::from(k) / 52.0)).round().min(1e9)).collect();
    let worst = worst_drift(nu, start, &dense);
    if worst > 1.4e-4 {
        Err(format!("integers up to 1e9 s: error {worst:e}, expected 1.4e-4 at most"))
    } else {
        Ok(())
    }
}

/// A library's sample of `n` must be explained by the formula: mean and deviation within five of their own errors.
fn sampled(section: &Value, key: &str, mean: f64, deviation: f64) -> Check {
    let Some(sample) = section.get(key) else { return Ok(()) };
    let root = number(sample, "n")?.sqrt();
    agree_one(&format!("{key}.mean"), mean, number(sample, "mean")?, 0.0, 5.0 * deviation / root)?;
    agree_one(&format!("{key}.std"), deviation, number(sample, "std")?, 0.0, 5.0 * deviation / root)
}

// --- converters --------------------------------------------------------------------------------------------

/// W and x as integers over a common power of two, exactly.
struct Product {
    w: Vec<Vec<i64>>,
    x: Vec<f64>,
    unit: i64,
}

fn dyadic(values: &[f64], unit: i64) -> Option<Vec<i64>> {
    values.iter().map(|v| v * unit as f64).map(|v| (v.fract() == 0.0).then_some(v as i64)).collect()
}

fn product(section: &Value) -> Check {
    let rows: Vec<Vec<f64>> = get(section, "W")?
        .as_array()
        .ok_or("`W` is no matrix")?
        .iter()
        .map(flat)
        .collect::<Result<_, _>>()?;
    let x = list(section, "x")?;
    let unit = (0..24).map(|k| 1i64 << k).find(|u| rows.iter().chain([&x]).all(|r| dyadic(r, *u).is_some()));
    let unit = unit.ok_or("W and x are no multiples of a power of two")?;
    let w = rows.iter().filter_map(|r| dyadic(r, unit)).collect();
    let product = Product { w, x, unit };
    let exact: Vec<f64> = rows.iter().map(|r| r.iter().zip(&product.x).map(|(w, x)| w * x).sum()).collect();
    agree("exact", &exact, &list(section, "exact")?, 1e-9, 1e-10)?;
    for (key, case) in section.as_object().into_iter().flatten() {
        let check = if key == "aihwkit_style" {
            aihwkit_style(&product, case)
        } else if key.contains("_dac") && !observation(key) {
            quantised(&product, key, case)
        } else if key == "aihwkit_ir_drop_simple" {
            polynomial_ir_drop(&product, &rows, case)
        } else {
            Ok(())
        };
        check.map_err(|why| format!("{key}: {why}"))?;
    }
    Ok(())
}

impl Product {
    /// Converts x, multiplies in integers, converts the sums: input values, sums, codes, outputs.
    fn through(&self, dac: &Converter, adc: &Converter) -> [Vec<f64>; 4] {
        let x = dyadic(&self.x, self.unit).unwrap_or_default();
        let codes: Vec<i64> = x.iter().map(|x| dac.convert(*x)).collect();
        let input: Vec<f64> = codes.iter().map(|c| dac.value(*c)).collect();
        // A sign-magnitude code is centred; an offset code c stands for (2c − steps)/2 steps.
        let doubled = |c: &i64| if dac.code == Code::Offset { 2 * c - dac.steps() } else { 2 * c };
        let sums: Vec<i64> =
            self.w.iter().map(|row| row.iter().zip(&codes).map(|(w, c)| w * doubled(c)).sum()).collect();
        let out: Vec<i64> = sums.iter().map(|s| adc.convert(*s)).collect();
        let before = sums.iter().map(|s| *s as f64 / adc.unit as f64).collect();
        let centred =
            |c: &i64| if adc.code == Code::Offset { *c as f64 - adc.steps() as f64 / 2.0 } else { *c as f64 };
        let values = out.iter().map(|c| adc.value(*c)).collect();
        [input, before, out.iter().map(centred).collect(), values]
    }

    /// Units in which the doubled code sums stand to the weights: `dac.steps` per doubled input range 1.
    fn adc(
        &self,
        code: Code,
        ties: Ties,
        bits: u32,
        range: f64,
        dac_steps: i64,
    ) -> Result<Converter, String> {
        let unit = self.unit * dac_steps;
        let scaled = range * unit as f64;
        match scaled.fract() == 0.0 {
            true => Ok(Converter { code, ties, bits, range: scaled as i64, unit }),
            false => Err(format!("an ADC range of {range} is no whole number of {unit}ths")),
        }
    }
}

/// `signmag_dacB_adcB_rangeR` or a two's-complement name of the same form. The expected values round a tie to the even
/// level (x = 0.5 is one), as CrossSim does.
fn quantised(product: &Product, key: &str, case: &Value) -> Check {
    let part = |name: &str| {
        key.split('_')
            .find_map(|p| p.strip_prefix(name))
            .and_then(|v| v.parse::<f64>().ok())
            .ok_or(format!("no {name}"))
    };
    let code = if key.starts_with("signmag") { Code::SignMagnitude } else { Code::Offset };
    let ties = Ties::Even;
    let dac = Converter { code, ties, bits: part("dac")? as u32, range: product.unit, unit: product.unit };
    let adc = product.adc(code, ties, part("adc")? as u32, part("range")?, dac.steps())?;
    let [input, before, codes, out] = product.through(&dac, &adc);
    agree("x_dac", &input, &list(case, "x_dac")?, 1e-9, 1e-10)?;
    agree("pre_adc", &before, &list(case, "pre_adc")?, 1e-9, 1e-10)?;
    agree("adc_code_minus_mid", &codes, &list(case, "adc_code_minus_mid")?, 0.0, 0.0)?;
    agree("y", &out, &list(case, "y")?, 1e-9, 1e-10)
}

/// Steps given instead of bits: the nearest multiple of the step, then clipped to the bound.
fn aihwkit_style(product: &Product, case: &Value) -> Check {
    let bits = |bound: &str, step: &str| -> Result<(u32, f64), String> {
        let (bound, step) = (number(case, bound)?, number(case, step)?);
        let steps = (2.0 * bound / step).round();
        agree_one("levels across the range", 2.0 * bound / step, steps, 1e-8, 0.0)?;
        match (steps + 2.0).log2() {
            b if b.fract() == 0.0 => Ok((b as u32, bound)),
            b => Err(format!("{steps} steps are {b} bits")),
        }
    };
    let (dac_bits, bound) = bits("inp_bound", "inp_step")?;
    let range = (bound * product.unit as f64).round() as i64;
    let ties = Ties::Away;
    let dac = Converter { code: Code::SignMagnitude, ties, bits: dac_bits, range, unit: product.unit };
    let (adc_bits, bound) = bits("out_bound", "out_step")?;
    let adc = product.adc(Code::SignMagnitude, ties, adc_bits, bound, dac.steps())?;
    let [input, _, _, out] = product.through(&dac, &adc);
    agree("x_dac", &input, &list(case, "x_dac")?, 1e-9, 1e-10)?;
    agree("y", &out, &list(case, "y")?, 1e-9, 1e-10)
}

/// aihwkit's polynomial, for comparison with it: a = N Σ|w||x|/ratio, y −= s a (0.05 a² − 0.2 a + 0.5) Σ w x (1 − (1 − j/N)²).
fn polynomial_ir_drop(product: &Product, rows: &[Vec<f64>], case: &Value) -> Check {
    let (scale, ratio) = (number(case, "ir_drop")?, number(case, "ir_drop_g_ratio")?);
    let n = product.x.len() as f64;
    let y: Vec<f64> = rows
        .iter()
        .map(|row| {
            let pairs = || row.iter().zip(&product.x);
            let a = n * pairs().map(|(w, x)| (w * x).abs()).sum::<f64>() / ratio;
            let weighted: f64 =
                pairs().enumerate().map(|(j, (w, x))| w * x * (1.0 - (1.0 - j as f64 / n).powi(2))).sum();
            let exact: f64 = pairs().map(|(w, x)| w * x).sum();
            exact - scale * a * (0.05 * a * a - 0.2 * a + 0.5) * weighted
        })
        .collect();
    agree("y_ref", &y, &list(case, "y_ref")?, 1e-9, 1e-10)
}

// --- wires and passive arrays ------------------------------------------------------------------------------

fn ir_drop(section: &Value) -> Check {
    for (name, case) in object(section, "cases")? {
        wires_case(case).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn wires_case(case: &Value) -> Check {
    let (rows, columns) = (count(case, "n_rows")?, count(case, "n_cols")?);
    let (low, high) = (number(case, "gmin_S")?, number(case, "gmax_S")?);
    let ohm = number(case, "R_wire_ohm")?;
    let pattern = |i: usize, j: usize| ((31 * i + 17 * j + (i * j) % 7) % 64) as f64 / 63.0;
    let g: Vec<f64> =
        (0..rows * columns).map(|n| low + (high - low) * pattern(n / columns, n % columns)).collect();
    let read = number(case, "vread_V")?;
    let volt: Vec<f64> = (0..rows).map(|i| read * ((5 * i + 3) % 8 + 1) as f64 / 8.0).collect();
    let wires = Wires { row_ohm: ohm, column_ohm: ohm };

    let ideal = wires::ideal(&g, columns, &volt);
    agree("I_ideal_A", &ideal, &list(case, "I_ideal_A")?, 1e-9, 0.0)?;
    let nodal = wires::solve(&g, columns, &volt, &wires);
    agree("I_nodal_A", &nodal.currents_a, &list(case, "I_nodal_A")?, 1e-9, 0.0)?;
    agree_one("P_dissipated_W", nodal.power_w, number(case, "P_dissipated_W")?, 1e-9, 0.0)?;
    let loss: Vec<f64> = nodal.currents_a.iter().zip(&ideal).map(|(a, b)| 1.0 - a / b).collect();
    agree_one("rel_loss_mean", mean(&loss), number(case, "rel_loss_mean")?, 1e-7, 0.0)?;
    agree_one("rel_loss_max", largest(&loss), number(case, "rel_loss_max")?, 1e-7, 0.0)?;

    let error = |t: &[f64]| {
        let currents = wires::ideal(t, columns, &volt);
        largest(&currents.iter().zip(&nodal.currents_a).map(|(a, b)| (a / b - 1.0).abs()).collect::<Vec<_>>())
    };
    let factorised = error(&wires::factorised(&g, columns, &wires));
    agree_one("T_pade_I_max_rel_err", factorised, number(case, "T_pade_I_max_rel_err")?, 1e-5, 1e-12)?;
    let bound = if largest(&loss) < 0.05 { 5e-4 } else { 1.8e-3 };
    if factorised > bound {
        return Err(format!("factorised form: error {factorised:e}, expected {bound:e} at most"));
    }
    let terms = wires::drop_terms(&g, columns, &wires);
    let first = error(&g.iter().zip(&terms).map(|(g, d)| g * (1.0 - d)).collect::<Vec<_>>());
    agree_one("first_order_max_rel_err", first, number(case, "first_order_max_rel_err")?, 1e-5, 1e-12)?;
    agree_one(
        "T_first_order_I_max_rel_err",
        first,
        number(case, "T_first_order_I_max_rel_err")?,
        1e-5,
        1e-12,
    )?;
    if case.get("cell_voltage_V").is_some() {
        agree("cell_voltage_V", &nodal.cell_v, &list(case, "cell_voltage_V")?, 1e-9, 1e-11)?;
    }
    match case.get("single_spike_loss_mean") {
        Some(_) => single_rows(case, &g, columns, &wires, &error),
        None => Ok(()),
    }
}

/// One row driven at a time: the effective matrix, what a lone spike loses, and the rule that looks at wire length
/// only.
fn single_rows(
    case: &Value,
    g: &[f64],
    columns: usize,
    wires: &Wires,
    error: &dyn Fn(&[f64]) -> f64,
) -> Check {
    let rows = g.len() / columns;
    let unit = |i: usize| (0..rows).map(|r| f64::from(u8::from(r == i))).collect::<Vec<_>>();
    let effective: Vec<f64> =
        (0..rows).flat_map(|i| wires::solve(g, columns, &unit(i), wires).currents_a).collect();
    if case.get("T_effective_S").is_some() {
        agree("T_effective_S", &effective, &list(case, "T_effective_S")?, 1e-9, 0.0)?;
    }
    let loss: Vec<f64> = effective.iter().zip(g).map(|(t, g)| 1.0 - t / g).collect();
    agree_one("single_spike_loss_mean", mean(&loss), number(case, "single_spike_loss_mean")?, 1e-6, 0.0)?;
    agree_one("single_spike_loss_max", largest(&loss), number(case, "single_spike_loss_max")?, 1e-6, 0.0)?;
    let length = |n: usize| wires.row_ohm * (n % columns + 1 + rows - n / columns) as f64;
    let series: Vec<f64> = g.iter().enumerate().map(|(n, g)| g / (1.0 + g * length(n))).collect();
    let matrix = series.iter().zip(&effective).map(|(s, t)| (s / t - 1.0).abs()).collect::<Vec<_>>();
    agree_one(
        "series_path_T_max_rel_err",
        largest(&matrix),
        number(case, "series_path_T_max_rel_err")?,
        1e-6,
        0.0,
    )?;
    agree_one(
        "series_path_I_max_rel_err",
        error(&series),
        number(case, "series_path_I_max_rel_err")?,
        1e-6,
        0.0,
    )
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MIN, f64::max)
}

fn sneak(section: &Value) -> Check {
    let n = count(section, "n")?;
    let selected = list(section, "sel")?;
    let [row, column] = selected[..] else { return Err("`sel` is no pair".into()) };
    let selected = (row as usize, column as usize);
    let (own, other) = (number(section, "G_sel_S")?, number(section, "G_other_S")?);
    let g: Vec<f64> = (0..n * n).map(|k| if (k / n, k % n) == selected { own } else { other }).collect();
    let volt = number(section, "vread")?;
    agree_one("I_cell_only_A", volt * own, number(section, "I_cell_only_A")?, 1e-9, 0.0)?;
    for (scheme, expected) in object(section, "schemes")? {
        let biasing = match scheme.as_str() {
            "float" => Biasing::Floating,
            "ground" => Biasing::Grounded,
            "V/2" => Biasing::Half,
            "V/3" => Biasing::Third,
            other => return Err(format!("unknown scheme `{other}`")),
        };
        let read = passive::read(&g, n, selected, volt, biasing).ok_or("the array has no solution")?;
        agree_one(&format!("{scheme}: I_sense_A"), read.sensed_a, number(expected, "I_sense_A")?, 1e-9, 0.0)?;
        agree_one(&format!("{scheme}: P_array_W"), read.power_w, number(expected, "P_array_W")?, 1e-9, 0.0)?;
    }
    Ok(())
}

/// Worked examples whose names carry the quantities with their units.
fn energies(section: &Value) -> Check {
    for (formula, examples) in section.as_object().ok_or("no object")? {
        if formula.starts_with("row_line_J") {
            let told = quantities(formula);
            let value = |unit: &str| {
                told.iter().find(|(_, u)| u == unit).map(|(v, _)| *v).ok_or(format!("no {unit}"))
            };
            let found =
                energy::line_j(value("cells")?, value("fF/um")? * 1e-9, value("um")? * 1e-6, value("V")?);
            let expected = examples.as_f64().ok_or("no number")?;
            agree_one(formula, found, expected, 1e-6, 0.0)?;
            continue;
        }
        for (name, expected) in examples.as_object().ok_or("no object")? {
            let told = quantities(name);
            let value = |unit: &str| told.iter().find(|(_, u)| u == unit).map(|(v, _)| *v);
            let part = |unit: &str| value(unit).ok_or(format!("{name}: no {unit}"));
            let (volt, siemens, second) = (part("V")?, part("uS")? * 1e-6, part("ns")? * 1e-9);
            // A conductance with two decimals was rounded for its name; other quantities are as told.
            let digits = name.split(' ').find_map(|w| w.strip_suffix("uS")).and_then(|w| w.split_once('.'));
            let named = match digits.map_or(0, |(_, decimals)| decimals.len()) {
                0 | 1 => 0.0,
                decimals => 0.5 * 10f64.powi(-(decimals as i32)) * 1e-6 / siemens,
            };
            let pulses = value("pulse").or(value("pulses")).unwrap_or(1.0);
            let found = match formula.as_str() {
                f if f.starts_with("device_read_J") => energy::read_j(volt, siemens, second),
                f if f.starts_with("device_write_J") => {
                    energy::write_j(volt, siemens, siemens, second, pulses)
                }
                other => return Err(format!("unknown formula `{other}`")),
            };
            agree_one(name, found, expected.as_f64().ok_or("no number")?, 1e-6 + named, 0.0)?;
        }
    }
    Ok(())
}
