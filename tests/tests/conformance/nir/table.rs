//! Nested JSON lists as flat numbers, and how two of them differ.

use serde_json::Value;

/// All numbers of a nested list in order.
pub(crate) fn numbers(value: &Value) -> Result<Vec<f64>, String> {
    let mut out = Vec::new();
    gather(value, &mut out)?;
    Ok(out)
}

fn gather(value: &Value, out: &mut Vec<f64>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| gather(item, out)),
        Value::Bool(b) => {
            out.push(f64::from(*b));
            Ok(())
        }
        other => {
            out.push(other.as_f64().ok_or_else(|| format!("{other} is no number"))?);
            Ok(())
        }
    }
}

/// The steps of a (time, …) list, each flat.
pub(crate) fn steps(value: &Value) -> Result<Vec<Vec<f64>>, String> {
    value.as_array().ok_or("no list of steps")?.iter().map(numbers).collect()
}

/// The first difference between one step of a table and a signal. Whole numbers (spikes) must
/// be equal; other numbers may differ by 1e-5 of `size`, the largest number of the table (at
/// least 1), because frameworks run in 32 bits.
pub(crate) fn compare(
    what: &str,
    step: usize,
    expected: &[f64],
    found: &[f64],
    size: Option<f64>,
) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
    }
    for (i, (e, f)) in expected.iter().zip(found).enumerate() {
        let same = size.map_or(e == f, |size| (e - f).abs() <= 1e-5 * size);
        if !same {
            return Err(format!("{what}, step {step}, index {i}: found {f}, expected {e}"));
        }
    }
    Ok(())
}

/// True when a table holds whole numbers only, as spikes do.
pub(crate) fn is_whole(steps: &[Vec<f64>]) -> bool {
    steps.iter().flatten().all(|v| v.fract() == 0.0)
}

/// The largest number of a table, at least 1.
pub(crate) fn size(steps: &[Vec<f64>]) -> f64 {
    steps.iter().flatten().fold(1.0, |m, v| v.abs().max(m))
}
