//! Which axis of an array is time, which the sample, and which are the Input's own.
//!
//! An array fits an Input of shape S when it has S, or S flattened, as its last axes: `(T, S…)`, `(T, B, S…)` or
//! `(B, T, S…)`; or as its first axes: `(S…, T)`. What stays open is settled by rules that are printed: one more
//! axis is time (the sample, where an encoder will make time), two are time first as the frameworks keep them,
//! unless the number of labels says which is the sample.

use crate::data::npy::Array;

/// What is known of the array that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Shape of the Input.
    pub port: &'a [usize],
    /// Whether the array holds features that an encoder turns into ticks.
    pub encoded: bool,
    /// Number of samples, where labels say so.
    pub samples: Option<usize>,
}

/// The roles of an array's axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes {
    shape: Vec<usize>,
    time: Option<usize>,
    batch: Option<usize>,
    own: std::ops::Range<usize>,
    why: &'static str,
}

/// Infers the roles; `order` such as `TBN` overrides. The error is (found, expected).
///
/// # Errors
/// No order fits the shape.
pub fn infer(shape: &[usize], wanted: &Wanted<'_>, order: Option<&str>) -> Result<Axes, (String, String)> {
    if let Some(order) = order {
        return given(shape, wanted, order);
    }
    let size: usize = wanted.port.iter().product();
    let windows: Vec<std::ops::Range<usize>> = windows(shape, wanted.port, size);
    // The Input's own axes stand last, as a rule; then first; else anywhere.
    let last = windows.iter().find(|w| w.end == shape.len());
    let first = windows.iter().find(|w| w.start == 0);
    let own = last.or(first).or(windows.first()).cloned();
    let Some(own) = own else {
        return Err((
            format!("an array of shape {shape:?}"),
            format!("{:?} (or {size} in one axis) as its last axes, behind time and sample", wanted.port),
        ));
    };
    let mut rest: Vec<usize> = (0..shape.len()).filter(|a| !own.contains(a)).collect();
    if rest.len() > 2 {
        rest.retain(|a| shape.get(*a) != Some(&1));
    }
    let is_batch = |axis: usize| wanted.samples.is_some() && shape.get(axis).copied() == wanted.samples;
    let (time, batch, why) = match (rest.as_slice(), wanted.encoded) {
        ([], _) => (None, None, "one tick of one sample"),
        ([b], true) => (None, Some(*b), "the encoder makes the ticks"),
        ([a], false) if is_batch(*a) && *a == 0 => (None, Some(*a), "as many as labels"),
        ([t], false) => (Some(*t), None, "one sample"),
        ([_, _], true) => {
            return Err((
                format!("an array of shape {shape:?} with two axes beside the Input's {:?}", wanted.port),
                "(sample, feature) for an encoder; or no --encode, if the array has ticks already".to_owned(),
            ));
        }
        ([a, b], false) if is_batch(*a) && !is_batch(*b) => (Some(*b), Some(*a), "as many samples as labels"),
        ([a, b], false) if is_batch(*b) && !is_batch(*a) => (Some(*a), Some(*b), "as many samples as labels"),
        ([a, b], false) => (Some(*a), Some(*b), "time first, as the frameworks keep it"),
        _ => {
            return Err((
                format!("an array of shape {shape:?}"),
                format!("at most time and sample beside the Input's {:?}", wanted.port),
            ));
        }
    };
    Ok(Axes { shape: shape.to_vec(), time, batch, own, why })
}

/// Places where the Input's shape, or its flat size, stands among the axes.
fn windows(shape: &[usize], port: &[usize], size: usize) -> Vec<std::ops::Range<usize>> {
    let fits = |w: &std::ops::Range<usize>| {
        let part = shape.get(w.clone()).unwrap_or(&[]);
        part == port || (part.len() == 1 && part.first() == Some(&size))
    };
    let mut all = Vec::new();
    for length in [port.len(), 1] {
        for start in (0..=shape.len().saturating_sub(length)).rev() {
            let window = start..start + length;
            if window.end <= shape.len() && fits(&window) && !all.contains(&window) {
                all.push(window);
            }
        }
    }
    // A single neuron needs no axis of its own.
    if size == 1 && all.is_empty() {
        all.push(shape.len()..shape.len());
    }
    all
}

fn given(shape: &[usize], wanted: &Wanted<'_>, order: &str) -> Result<Axes, (String, String)> {
    let expected =
        || "letters T, B and N, each at most once, with N for the Input's axes (TBN, BTN, TN, NT, BN)";
    let letters: Vec<char> = order.to_uppercase().chars().collect();
    let once = |c: char| letters.iter().filter(|l| **l == c).count();
    let sound = letters.iter().all(|l| "TBN".contains(*l)) && "TBN".chars().all(|c| once(c) <= 1);
    if !sound || once('N') != 1 || (wanted.encoded && once('T') > 0) {
        return Err((format!("--axes {order}"), expected().to_owned()));
    }
    let own_len = (shape.len() + 1).checked_sub(letters.len()).filter(|n| *n > 0);
    let size: usize = wanted.port.iter().product();
    let Some(own_len) = own_len else {
        return Err((format!("--axes {order} for an array of shape {shape:?}"), expected().to_owned()));
    };
    let (mut at, mut time, mut batch, mut own) = (0, None, None, 0..0);
    for letter in letters {
        match letter {
            'T' => time = Some(at),
            'B' => batch = Some(at),
            _ => {
                own = at..at + own_len;
                at += own_len - 1;
            }
        }
        at += 1;
    }
    let found: usize = shape.get(own.clone()).unwrap_or(&[]).iter().product();
    if found != size {
        return Err((
            format!("--axes {order} for an array of shape {shape:?}: {found} values in N"),
            format!("{size} values, shape {:?}", wanted.port),
        ));
    }
    Ok(Axes { shape: shape.to_vec(), time, batch, own, why: "as --axes says" })
}

impl Axes {
    /// Number of samples.
    pub fn batch_size(&self) -> usize {
        self.batch.and_then(|b| self.shape.get(b).copied()).unwrap_or(1)
    }

    /// Number of ticks.
    pub fn ticks(&self) -> usize {
        self.time.and_then(|t| self.shape.get(t).copied()).unwrap_or(1)
    }

    /// The order in words: `(time 25, sample 3, input 64): why`.
    pub fn describe(&self) -> String {
        let names: Vec<String> = self
            .shape
            .iter()
            .enumerate()
            .map(|(axis, size)| match axis {
                a if Some(a) == self.time => format!("time {size}"),
                a if Some(a) == self.batch => format!("sample {size}"),
                a if self.own.contains(&a) => format!("input {size}"),
                _ => format!("{size}"),
            })
            .collect();
        format!("({}): {}", names.join(", "), self.why)
    }

    /// The samples of the array, each as rows of the Input's values, one per tick.
    pub fn samples<'a>(&'a self, array: &'a Array) -> impl Iterator<Item = Vec<Vec<f64>>> + 'a {
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let stride = move |axis: Option<usize>| axis.and_then(|a| strides.get(a).copied()).unwrap_or(0);
        let own_size: usize = self.shape.get(self.own.clone()).unwrap_or(&[]).iter().product();
        let step = self.own.end.checked_sub(1).map_or(0, |last| stride(Some(last)));
        let (per_batch, per_tick) = (stride(self.batch), stride(self.time));
        (0..self.batch_size()).map(move |b| {
            let row = |t: usize| {
                let start = b * per_batch + t * per_tick;
                (0..own_size).map(|k| array.values.get(start + k * step).copied().unwrap_or(0.0)).collect()
            };
            (0..self.ticks()).map(row).collect()
        })
    }
}
