//! The same sweeps as plain dense float loops: every coupling is multiplied in every sweep.
//!
//! This is what the published implementations do, without their libraries: matrices of 32-bit floats, absent synapses
//! stored as zeros. Integer weights below 2²⁴ are exact in them, so its states must be the machine's.

use synop_core::{Event, Image, Machine};
use synop_model::attractor::{Built, Plan, port_of};

/// A layer's matrices, rows by target.
struct Matrices {
    couplings: Vec<f32>,
    input: Vec<f32>,
    teacher: Vec<f32>,
}

/// One hidden layer of a network, with the weights of a machine at some time.
pub struct Dense {
    hidden: usize,
    inputs: usize,
    classes: usize,
    own: f32,
    bias: Vec<f32>,
    matrices: Matrices,
    plan: Plan,
}

impl Dense {
    /// Copies the weights of a network of one synchronous layer; `None` for others.
    pub fn of(machine: &Machine<'_>, image: &Image<'_>, built: &Built, plan: Plan) -> Option<Dense> {
        let ([layer], [projections]) = (&built.layers[..], &built.projections[..]) else { return None };
        let piece = image.piece(*layer as u32)?;
        if piece.is_sequential() {
            return None;
        }
        let size = |p: usize| image.piece(p as u32).map_or(0, |p| p.count as usize);
        let (hidden, inputs, classes) = (size(*layer), size(built.input), size(built.teacher));
        let fill = |projection: Option<usize>, sources: usize| {
            let port = projection.and_then(|p| port_of(image, p));
            let mut matrix = vec![0f32; hidden * sources];
            for (i, row) in matrix.chunks_mut(sources.max(1)).enumerate() {
                for (j, w) in row.iter_mut().enumerate() {
                    let weight = port.and_then(|p| machine.weight(p, j as u32, i as u32));
                    *w = weight.unwrap_or(0) as f32;
                }
            }
            matrix
        };
        let bias = (0..hidden).map(|_| piece.bias.value as f32).collect();
        let matrices = Matrices {
            couplings: fill(projections.couplings, hidden),
            input: fill(projections.input, inputs),
            teacher: fill(projections.teacher, classes),
        };
        Some(Dense { hidden, inputs, classes, own: piece.gain as f32, bias, matrices, plan })
    }

    /// Multiplications of one sample: input once, couplings in every sweep, the teacher once.
    pub fn products(&self) -> u64 {
        let sweeps = u64::from(self.plan.warm + self.plan.steer + self.plan.free);
        let (h, n, c) = (self.hidden as u64, self.inputs as u64, self.classes as u64);
        sweeps * h * h + h * n + h * c
    }

    /// Warm-up, steer and free sweeps of one sample, all of them; the final states.
    pub fn relax(&self, input: &[Event], payload: i32, label: usize, teacher: i32) -> Vec<f32> {
        let mut x = vec![0f32; self.inputs];
        for &[i, value] in input {
            if let Some(x) = x.get_mut(i as usize) {
                *x = (value * payload) as f32;
            }
        }
        let mut driven = self.bias.clone();
        product(&self.matrices.input, &x, &mut driven);
        let mut y = vec![0f32; self.classes];
        if let Some(y) = y.get_mut(label) {
            *y = teacher as f32;
        }
        let mut taught = driven.clone();
        product(&self.matrices.teacher, &y, &mut taught);
        let mut states = vec![0f32; self.hidden];
        let Plan { warm, steer, free, .. } = self.plan;
        for (sweeps, drive) in [(warm, &driven), (steer, &taught), (free, &driven)] {
            for _ in 0..sweeps {
                let mut fields = drive.clone();
                product(&self.matrices.couplings, &states, &mut fields);
                for (s, f) in states.iter_mut().zip(&fields) {
                    *s = if f + self.own * *s >= 0.0 { 1.0 } else { -1.0 };
                }
            }
        }
        states
    }
}

/// Lanes of a sum: so many partial sums let a compiler use vectors.
const LANES: usize = 16;

/// `out += matrix · x`, rows of `x.len()`.
fn product(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(matrix.chunks_exact(x.len().max(1))) {
        let mut sums = [0f32; LANES];
        let (rows, xs) = (row.chunks_exact(LANES), x.chunks_exact(LANES));
        let rest: f32 = rows.remainder().iter().zip(xs.remainder()).map(|(w, x)| w * x).sum();
        for (w, x) in rows.zip(xs) {
            for ((sum, w), x) in sums.iter_mut().zip(w).zip(x) {
                *sum += w * x;
            }
        }
        *out += rest + sums.iter().sum::<f32>();
    }
}
