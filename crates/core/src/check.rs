//! The one walk over an image that makes every later read safe.

use crate::image::*;
use crate::store::weight_at;
use crate::words::{bytes_at, word};

/// Largest number of stages.
const MAX_STAGES: u32 = 64;
/// Longest delay in ticks.
const MAX_DELAY: u32 = 1 << 16;
/// State values stay within ±2³⁰, so that a difference of two fits 32 bits.
const MAX_STATE: i32 = 1 << 30;

type Checked<T> = Result<T, ImageError>;

fn fail<T>(section: Section, index: u32, what: &'static str) -> Checked<T> {
    Err(ImageError::Record { section, index, what })
}

fn ensure(ok: bool, section: Section, index: u32, what: &'static str) -> Checked<()> {
    if ok { Ok(()) } else { fail(section, index, what) }
}

/// Checks all records; fills in what follows from them.
pub(crate) fn records(mut image: Image<'_>) -> Checked<Image<'_>> {
    cores(&image)?;
    pieces(&mut image)?;
    for i in 0..image.ports {
        port(&image, i)?;
    }
    for p in 0..image.pieces {
        classes(&image, p)?;
        sum_bound(&image, p)?;
    }
    let phases = image.phases.len();
    ensure(
        phases == 0 || (image.pieces != 0 && phases.is_multiple_of(image.pieces as usize)),
        Section::Phases,
        0,
        "not a whole number of phases",
    )?;
    ensure(
        image.phases.iter().all(|mask| *mask < 2 * HELD),
        Section::Phases,
        0,
        "a mask of more than four groups and the bit that holds",
    )?;
    for i in 0..(image.schedule.len().div_ceil(ENTRY_WORDS)) as u32 {
        let s = Section::Schedule;
        let Some(e) = image.entry(i) else { return fail(s, i, "no whole record") };
        ensure(e.phase < image.phase_count().max(1), s, i, "no such phase")?;
        ensure(e.options & !UNTIL_QUIET == 0, s, i, "unknown option")?;
    }
    ensure(
        image.fanout.is_empty() || image.fanout.len() == image.neurons as usize,
        Section::Fanout,
        0,
        "not one entry per neuron",
    )?;
    crate::learn::check_rules(&image)?;
    Ok(image)
}

fn cores(image: &Image<'_>) -> Checked<()> {
    let s = Section::Cores;
    ensure(image.core_words.len().is_multiple_of(CORE_WORDS) && image.cores != 0, s, 0, "no whole record")?;
    let (mut next_piece, mut next_plastic) = (0u32, 0u32);
    for i in 0..image.cores {
        let Some(c) = image.core(i) else { return fail(s, i, "missing") };
        ensure(c.first_piece == next_piece, s, i, "its pieces do not follow those of the core before")?;
        ensure(
            c.plastic_first == next_plastic,
            s,
            i,
            "its plastic memory does not follow that of the core before",
        )?;
        let (Some(p), Some(m)) = (next_piece.checked_add(c.pieces), next_plastic.checked_add(c.plastic_len))
        else {
            return fail(s, i, "too large");
        };
        (next_piece, next_plastic) = (p, m);
        for piece in c.first_piece..p.min(image.pieces) {
            let core = image.piece(piece).map(|p| p.core);
            ensure(
                core == Some(i),
                Section::Pieces,
                piece,
                "not on the core that lists it, or an unknown kind",
            )?;
        }
    }
    ensure(next_piece == image.pieces, s, image.cores - 1, "the cores do not list all pieces")?;
    ensure(next_plastic as usize * 8 == image.plastic.len(), s, image.cores - 1, "plastic memory left over")
}

fn pieces(image: &mut Image<'_>) -> Checked<()> {
    let s = Section::Pieces;
    ensure(
        image.piece_words.len().is_multiple_of(PIECE_WORDS) && image.pieces != 0,
        s,
        0,
        "no whole record",
    )?;
    let (mut next, mut next_class) = (0u32, 0u32);
    for i in 0..image.pieces {
        let Some(p) = image.piece(i) else { return fail(s, i, "unknown kind or option") };
        ensure(p.first == next, s, i, "its neurons do not follow those of the piece before")?;
        ensure((1..=65_536).contains(&p.count), s, i, "not 1 to 65,536 neurons")?;
        let Some(end) = next.checked_add(p.count) else { return fail(s, i, "too many neurons") };
        next = end;
        ensure(
            p.delay_first == next_class,
            s,
            i,
            "its delay classes do not follow those of the piece before",
        )?;
        let Some(end) = next_class.checked_add(p.delay_count) else {
            return fail(s, i, "too many delay classes");
        };
        next_class = end;
        ensure(p.delay_max <= MAX_DELAY, s, i, "delay of more than 65,536 ticks")?;
        ensure(p.flags & !flag::ALL == 0, s, i, "unknown option")?;
        ensure((1..=65_535).contains(&p.payload_max), s, i, "payload bound not 1 to 65,535")?;
        let input = p.kind == Kind::Input;
        ensure(
            input == (p.stage == 0) && p.stage <= MAX_STAGES,
            s,
            i,
            "inputs are stage 0, neurons 1 to 64",
        )?;
        ensure(input == (p.groups == 0) && p.groups <= 4, s, i, "neurons have 1 to 4 input groups")?;
        let binary = p.kind == Kind::Binary;
        let only_binary = flag::KEEP_TIES | flag::SEQUENTIAL | flag::SHUFFLED | flag::REPLACED;
        ensure(binary || p.flags & only_binary == 0, s, i, "an option of binary neurons")?;
        ensure(
            p.flags & (flag::SHUFFLED | flag::REPLACED) == 0 || p.is_sequential(),
            s,
            i,
            "a drawn order of neurons that are not sequential",
        )?;
        ensure(input || p.flags & flag::HOLD == 0, s, i, "only inputs are told to hold their values")?;
        ensure(!binary || p.payload_max == 2, s, i, "a binary neuron's payload bound is 2")?;
        ensure(!binary || p.gain.unsigned_abs() <= 1 << 30, s, i, "self-coupling beyond ±2^30")?;
        ensure(p.input_shift <= 20 && p.gain_shift <= 62, s, i, "shift too large")?;
        ensure((0..=MAX_STATE).contains(&p.grain), s, i, "grain not 0 to 2^30")?;
        ensure(p.refractory <= MAX_DELAY, s, i, "refractory period of more than 65,536 ticks")?;
        ensure(p.v_min <= p.v_max && p.v_min >= -MAX_STATE && p.v_max <= MAX_STATE, s, i, "state range")?;
        let floors = [p.floor, p.floor_value].iter().all(|v| (-MAX_STATE..=MAX_STATE).contains(v));
        ensure(floors, s, i, "floor beyond ±2^30")?;
        for param in [p.threshold, p.bias, p.decay, p.current_decay, p.reset_value, p.initial] {
            let fits = param.array == NONE
                || (param.array as usize)
                    .checked_add(p.count as usize)
                    .is_some_and(|e| e <= image.params.len());
            ensure(fits, s, i, "parameter array outside of the parameters")?;
        }
        for (param, what) in [(p.decay, "decay above 1"), (p.current_decay, "current decay above 1")] {
            let ok = each(image, param, p.count, |v| v as u32 <= 1 << 31);
            ensure(ok && p.adapt_decay <= 1 << 31, s, i, what)?;
        }
        for param in [p.bias, p.reset_value, p.initial, p.threshold] {
            let ok = each(image, param, p.count, |v| (-MAX_STATE..=MAX_STATE).contains(&v));
            ensure(ok, s, i, "parameter beyond ±2^30")?;
        }
        image.stages = image.stages.max(p.stage);
    }
    ensure(
        image.delay_words.len() == next_class as usize * DELAY_WORDS,
        Section::Delays,
        next_class,
        "the pieces do not list all delay classes",
    )?;
    image.neurons = next;
    Ok(())
}

fn each(image: &Image<'_>, param: Param, count: u32, ok: impl Fn(i32) -> bool) -> bool {
    match param.array {
        NONE => ok(param.value),
        at => image
            .params
            .get(at as usize..at as usize + count as usize)
            .is_some_and(|values| values.iter().all(|v| ok(*v))),
    }
}

fn port(image: &Image<'_>, i: u32) -> Checked<()> {
    let s = Section::Ports;
    let Some(p) = image.port(i) else { return fail(s, i, "unknown store") };
    let (Some(source), Some(target)) = (image.piece(p.source), image.piece(p.target)) else {
        return fail(s, i, "no such piece");
    };
    ensure(p.group < target.groups, s, i, "no such input group")?;
    ensure(
        target.kind != Kind::Binary || source.holds(),
        s,
        i,
        "binary neurons take changes only: from binary neurons, or from inputs that hold their values",
    )?;
    ensure(p.row_bound <= 1 << 30, s, i, "row bound above 2^30")?;
    ensure((p.store == Store::Crossbar) == (p.device != NONE), s, i, "an array without crossbar, or none")?;
    let plastic = p.rule != NONE;
    let bytes = if plastic { image.plastic } else { image.data };
    let rows = source.count as usize;
    let bits_ok = matches!(p.bits, 1 | 2 | 4 | 8 | 16);
    match p.store {
        Store::Dense => {
            ensure(bits_ok, s, i, "weights of dense rows have 1, 2, 4, 8 or 16 bits")?;
            let need = Segment::weight_bytes(target.count, p.bits);
            matrix(image, i, &p, bytes, rows, need)?;
            if plastic {
                ensure(p.bits != 1, s, i, "plastic weights have 2, 4, 8 or 16 bits")?;
                ensure(p.row_bound >= 1 << (p.bits - 1), s, i, "row bound below the container's")?;
            } else {
                let m = crate::store::Matrix {
                    bytes: bytes_at(bytes, p.offset as usize * 8, rows * p.stride as usize),
                    stride: p.stride as usize,
                    bits: p.bits,
                };
                for r in 0..source.count {
                    let row = m.row(r as i32);
                    let ok = match p.bits {
                        8 => row.iter().all(|w| u32::from((*w as i8).unsigned_abs()) <= p.row_bound),
                        bits => (0..target.count as usize)
                            .all(|j| weight_at(row, bits, j).unsigned_abs() <= p.row_bound),
                    };
                    ensure(ok, s, i, "a weight above the row bound")?;
                }
            }
        }
        Store::Bits => {
            ensure(!plastic, s, i, "bit rows cannot be plastic")?;
            matrix(image, i, &p, bytes, rows, Segment::weight_bytes(target.count, 1))?;
            ensure(p.weight.unsigned_abs() <= p.row_bound, s, i, "weight above the row bound")?;
        }
        Store::Identity => {
            ensure(!plastic, s, i, "identity links cannot be plastic")?;
            ensure(source.count == target.count, s, i, "identity between pieces of different size")?;
            ensure(p.weight.unsigned_abs() <= p.row_bound, s, i, "weight above the row bound")?;
        }
        Store::Sparse => {
            ensure(
                p.bits == 0 && !plastic || bits_ok,
                s,
                i,
                "weights of sparse rows have 0, 1, 2, 4, 8 or 16 bits",
            )?;
            ensure(
                p.weight.unsigned_abs() <= p.row_bound || p.bits != 0,
                s,
                i,
                "weight above the row bound",
            )?;
        }
        Store::Crossbar => crate::array::check(image, i, &p)?,
    }
    Ok(())
}

/// A matrix and its non-zero counts lie within their section.
fn matrix(image: &Image<'_>, i: u32, p: &Port, bytes: &[u8], rows: usize, need: usize) -> Checked<()> {
    let s = Section::Ports;
    ensure(need <= p.stride as usize && p.stride <= 1 << 20, s, i, "rows longer than their stride")?;
    let end = (p.offset as usize * 8).checked_add(rows * p.stride as usize);
    ensure(end.is_some_and(|e| e <= bytes.len()), s, i, "weights outside of their section")?;
    let end = (p.nonzero as usize * 8).checked_add(rows * 4);
    ensure(end.is_some_and(|e| e <= bytes.len()), s, i, "non-zero counts outside of their section")?;
    owned(image, i, p, p.offset as usize * 8, rows * p.stride as usize)?;
    owned(image, i, p, p.nonzero as usize * 8, rows * 4)
}

/// Plastic bytes belong to the core of the target.
fn owned(image: &Image<'_>, i: u32, p: &Port, at: usize, len: usize) -> Checked<()> {
    if p.rule == NONE {
        return Ok(());
    }
    let core = image.piece(p.target).and_then(|t| image.core(t.core));
    let Some(c) = core else { return fail(Section::Ports, i, "no such core") };
    let (first, end) =
        (c.plastic_first as usize * 8, (c.plastic_first as usize + c.plastic_len as usize) * 8);
    ensure(at >= first && at + len <= end, Section::Ports, i, "plastic weights of another core")
}

fn classes(image: &Image<'_>, piece: u32) -> Checked<()> {
    let s = Section::Delays;
    let Some(p) = image.piece(piece) else { return fail(Section::Pieces, piece, "missing") };
    for i in p.delay_first..p.delay_first + p.delay_count {
        let Some(c) = image.delay_class(i) else { return fail(s, i, "missing") };
        ensure(c.delay <= p.delay_max, s, i, "delay above the piece's longest")?;
        let later = |target: u32| {
            let at_once =
                |t: &Piece| t.stage > p.stage || t.stage == p.stage && t.is_sequential() && p.is_sequential();
            c.delay != 0 || image.piece(target).is_some_and(|t| at_once(&t))
        };
        ensure(c.first_port.checked_add(c.ports).is_some_and(|e| e <= image.ports), s, i, "no such port")?;
        for q in c.first_port..c.first_port + c.ports {
            let Some(port) = image.port(q) else { return fail(s, i, "no such port") };
            ensure(
                port.source == piece && port.store != Store::Sparse,
                s,
                i,
                "not a matrix port of this piece",
            )?;
            ensure(later(port.target), s, i, "a delay of 0 must go to a later stage")?;
        }
        if c.rows == NONE {
            continue;
        }
        let end = u64::from(c.rows) + u64::from(p.count.saturating_sub(1)) * u64::from(c.stride) + 2;
        ensure(end <= image.rows.len() as u64, s, i, "row table outside of its section")?;
        for local in 0..p.count {
            let (first, end) = image.row(&c, local);
            ensure(
                first <= end && end as usize * SEGMENT_WORDS <= image.segments.len(),
                s,
                i,
                "row outside of the segments",
            )?;
            let mut before = None;
            for q in first..end {
                segment(image, piece, c.delay, q, &later)?;
                let port = Segment::at(image.segments, q).map(|s| s.port);
                ensure(before < port, Section::Segments, q, "segments of a row do not ascend by port")?;
                before = port;
            }
        }
    }
    Ok(())
}

fn segment(image: &Image<'_>, piece: u32, delay: u32, q: u32, later: &dyn Fn(u32) -> bool) -> Checked<()> {
    let s = Section::Segments;
    let Some(seg) = Segment::at(image.segments, q) else { return fail(s, q, "missing") };
    let Some(port) = image.port(seg.port) else { return fail(s, q, "no such port") };
    let of_class = port.source == piece && port.store == Store::Sparse && port.delay == delay;
    ensure(of_class, s, q, "not a sparse port of this piece and delay")?;
    ensure(later(port.target), s, q, "a delay of 0 must go to a later stage")?;
    let Some(target) = image.piece(port.target) else { return fail(s, q, "no such piece") };
    let at = seg.offset as usize * 4;
    let tbytes = Segment::target_bytes(seg.len);
    let wbytes = Segment::weight_bytes(seg.len, port.bits);
    let plastic = port.rule != NONE;
    let fixed = if plastic { 0 } else { wbytes };
    ensure(
        at.checked_add(tbytes + fixed).is_some_and(|e| e <= image.data.len()),
        s,
        q,
        "outside of the data",
    )?;
    let weights = if plastic {
        let at = seg.extra as usize * 4;
        ensure(
            at.checked_add(4 + wbytes).is_some_and(|e| e <= image.plastic.len()),
            s,
            q,
            "outside of the plastic memory",
        )?;
        owned(image, seg.port, &port, at, 4 + wbytes)?;
        bytes_at(image.plastic, at + 4, wbytes)
    } else {
        ensure(seg.extra <= seg.len, s, q, "more non-zero weights than synapses")?;
        bytes_at(image.data, at + tbytes, wbytes)
    };
    let Ok(targets) = bytemuck::try_cast_slice::<u8, u16>(bytes_at(image.data, at, tbytes)) else {
        return fail(s, q, "misaligned");
    };
    // The row bound: the largest weight, as often as one target repeats.
    let mut largest = match (plastic, port.bits) {
        (_, 0) => port.weight.unsigned_abs(),
        (true, bits) => 1 << (bits - 1),
        (false, _) => 0,
    };
    if !plastic && port.bits != 0 {
        for j in 0..seg.len as usize {
            largest = largest.max(weight_at(weights, port.bits, j).unsigned_abs());
        }
    }
    let (mut before, mut run, mut longest) = (None, 0u32, 0u32);
    for &t in targets {
        ensure(u32::from(t) < target.count, s, q, "a target beyond the piece")?;
        ensure(before.is_none_or(|b| b <= t), s, q, "targets do not ascend")?;
        run = if before == Some(t) { run + 1 } else { 1 };
        longest = longest.max(run);
        before = Some(t);
    }
    let bound = u64::from(longest) * u64::from(largest);
    ensure(bound <= u64::from(port.row_bound), s, q, "row bound too small")
}

/// The sum of all inputs of one tick provably fits 32 bits.
fn sum_bound(image: &Image<'_>, piece: u32) -> Checked<()> {
    let own = |p: Piece| {
        let bias = match p.bias.array {
            NONE => p.bias.value.unsigned_abs(),
            _ => 1 << 30,
        };
        if p.kind == Kind::Binary { u64::from(p.gain.unsigned_abs()) + u64::from(bias) } else { 0 }
    };
    let own = image.piece(piece).map_or(0, own);
    match input_bound(image, piece) {
        Some(bound) if u64::from(bound) + own < 1 << 31 => Ok(()),
        _ => Err(ImageError::SumBound { piece }),
    }
}

/// The most that the events of one tick can add to one sum of a piece, and the most that the sum of a binary
/// neuron can ever be; `None` where it may leave 31 bits.
pub(crate) fn input_bound(image: &Image<'_>, piece: u32) -> Option<u32> {
    let mut bound = 0u64;
    for i in 0..image.ports {
        let target = word(image.port_words, i as usize * PORT_WORDS + 2);
        if target != piece {
            continue;
        }
        let (port, source) = (image.port(i)?, image.piece(image.port(i)?.source)?);
        let rows = match port.store {
            Store::Identity => 1,
            Store::Crossbar => u64::from(image.array(port.device)?.rows),
            _ => u64::from(source.count),
        };
        let persists = image.piece(piece)?.kind == Kind::Binary;
        let most = match source.kind {
            // A sum that persists is made of values, another of changes, which may be twice as large.
            Kind::Binary if persists => 1,
            Kind::Input if source.holds() && !persists => 2 * source.payload_max,
            _ => source.payload_max,
        };
        let one = u64::from(port.row_bound) * u64::from(most);
        let all = one.checked_mul(rows)?;
        // Within a tick a converter bounds what an array adds, however many rows are driven.
        let last = image.array(port.device).filter(|_| !persists).map_or(u64::MAX, |array| array.most());
        bound = bound.checked_add(all.min(last))?;
    }
    u32::try_from(bound).ok().filter(|b| *b < 1 << 31)
}
