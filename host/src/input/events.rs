//! Events as text: one per line, `t,neuron` or `t,x,y,p`; a header may name the columns in another order and add
//! `sample` and `value`.

use std::path::Path;

use super::{InputArgs, Port, Sample};
use crate::Failure;

/// Most ticks of a sample: bounds what a wrong unit of time can allocate.
const MOST_TICKS: f64 = 1e7;

/// Samples, and what was assumed.
#[derive(Debug)]
pub struct Parsed {
    /// The samples, all of the same number of ticks.
    pub samples: Vec<Sample>,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// Where the columns stand.
struct Columns {
    t: usize,
    neuron: Option<usize>,
    xyp: Option<[usize; 3]>,
    sample: Option<usize>,
    value: Option<usize>,
}

impl Columns {
    fn of(header: &[&str]) -> Option<Columns> {
        let at = |names: &[&str]| header.iter().position(|h| names.contains(&h.to_lowercase().as_str()));
        let xyp = [at(&["x"]), at(&["y"]), at(&["p", "polarity", "c"])];
        Some(Columns {
            t: at(&["t", "time", "tick", "timestamp"])?,
            neuron: at(&["neuron", "n", "idx", "unit", "channel"]),
            xyp: match xyp {
                [Some(x), Some(y), Some(p)] => Some([x, y, p]),
                _ => None,
            },
            sample: at(&["sample", "b"]),
            value: at(&["value", "v"]),
        })
    }

    fn plain(fields: usize) -> Option<Columns> {
        let columns = Columns { t: 0, neuron: None, xyp: None, sample: None, value: None };
        match fields {
            2 => Some(Columns { neuron: Some(1), ..columns }),
            4 => Some(Columns { xyp: Some([1, 2, 3]), ..columns }),
            _ => None,
        }
    }
}

/// Parses events of the network's one Input.
///
/// # Errors
/// Bad input names the line.
pub fn parse(path: &Path, text: &str, args: &InputArgs, ports: &[Port]) -> Result<Parsed, Failure> {
    let [port] = ports else {
        return Err(Failure::bad_input("events in text feed one Input only")
            .file(path)
            .found(format_args!("a network with {} Inputs", ports.len()))
            .mend("use an npz file with one array per Input"));
    };
    let unit = args.tick.unwrap_or(1.0);
    if !(unit > 0.0 && unit.is_finite()) {
        return Err(Failure::bad_input("the length of a tick must be positive").place("--tick").found(unit));
    }
    let mut lines =
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')).peekable();
    let Some((_, first)) = lines.peek() else {
        return Err(Failure::bad_input("the file holds no events")
            .file(path)
            .expected("lines t,neuron or t,x,y,p"));
    };
    let head: Vec<&str> = first.split(',').map(str::trim).collect();
    let has_header = head.iter().any(|f| f.parse::<f64>().is_err());
    let columns = if has_header { Columns::of(&head) } else { Columns::plain(head.len()) };
    let columns = columns.filter(|c| c.neuron.is_some() || c.xyp.is_some()).ok_or_else(|| {
        Failure::bad_input("the columns are not known")
            .file(path)
            .place("line 1")
            .found(format_args!("`{first}`"))
            .expected("t,neuron or t,x,y,p; a header may also name sample and value")
            .mend("name the columns in the first line: t,neuron")
    })?;
    if has_header {
        lines.next();
    }
    let mut events: Vec<Vec<(usize, u32, f64)>> = Vec::new();
    let mut last = 0usize;
    for (number, line) in lines {
        let event = event(line, &columns, port, unit).map_err(|(found, expected)| {
            Failure::bad_input("not an event")
                .file(path)
                .place(format_args!("line {}", number + 1))
                .found(found)
                .expected(expected)
        })?;
        let (sample, event) = event;
        if events.len() <= sample {
            events.resize(sample + 1, Vec::new());
        }
        last = last.max(event.0 + 1);
        events[sample].push(event);
    }
    let ticks = args.ticks.map_or(last, |t| t as usize);
    let mut notes = vec![format!(
        "events {}, a tick is {unit} of the file's unit of time, {ticks} ticks",
        if columns.neuron.is_some() { "t,neuron" } else { "t,x,y,p: neuron = (p·height + y)·width + x" }
    )];
    if ticks < last {
        notes.push(format!("events after tick {} are left out, as --ticks says", ticks.saturating_sub(1)));
    }
    Ok(Parsed { samples: events.into_iter().map(|e| Sample::from_events(ticks, e)).collect(), notes })
}

type Numbered = (usize, (usize, u32, f64));

fn event(line: &str, columns: &Columns, port: &Port, unit: f64) -> Result<Numbered, (String, String)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |column: usize, name: &str| -> Result<f64, (String, String)> {
        let text = fields.get(column).copied().unwrap_or("");
        text.parse::<f64>()
            .ok()
            .filter(|v| v.is_finite())
            .ok_or_else(|| (format!("`{line}`"), format!("a number for {name}, found `{text}`")))
    };
    let index = |column: usize, name: &str, below: usize| -> Result<usize, (String, String)> {
        let value = number(column, name)?;
        if value.fract() == 0.0 && value >= 0.0 && value < below as f64 {
            return Ok(value as usize);
        }
        Err((
            format!("{name} = {value}"),
            format!("a whole number below {below}, for Input `{}` of shape {:?}", port.name, port.shape),
        ))
    };
    let t = number(columns.t, "t")? / unit;
    if !(0.0..MOST_TICKS).contains(&t) {
        return Err((
            format!("an event at tick {t}"),
            format!("0 to {MOST_TICKS:e} ticks; --tick gives the length of a tick in the file's unit"),
        ));
    }
    let neuron = match (columns.neuron, columns.xyp) {
        (Some(n), _) => index(n, "neuron", port.size())?,
        (None, Some([x, y, p])) => {
            let (channels, height, width) = match port.shape.as_slice() {
                [c, h, w] => (*c, *h, *w),
                [h, w] => (1, *h, *w),
                _ => {
                    return Err((
                        "t,x,y,p".into(),
                        format!("t,neuron for an Input of shape {:?}", port.shape),
                    ));
                }
            };
            (index(p, "p", channels)? * height + index(y, "y", height)?) * width + index(x, "x", width)?
        }
        (None, None) => 0,
    };
    let sample = columns.sample.map_or(Ok(0), |c| index(c, "sample", 1 << 24))?;
    let value = columns.value.map_or(Ok(1.0), |c| number(c, "value"))?;
    Ok((sample, (t as usize, neuron as u32, value)))
}
