//! Voltage drop along the wires of a crossbar: exact nodal solution, and the factorised matrix that the core uses.
//!
//! Topology: row i is driven beside column 0, column j is sensed at virtual ground after the last row, with one
//! wire segment before the first cell of a row and one after the last cell of a column; idle rows are driven
//! to 0 V. Then column currents are linear in the row voltages.

/// Resistance of one wire segment between neighbouring cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wires {
    /// Along a row, Ω.
    pub row_ohm: f64,
    /// Along a column, Ω.
    pub column_ohm: f64,
}

/// Solution of all node voltages.
#[derive(Clone, Debug)]
pub struct Nodal {
    /// Current into the ground of each column, A.
    pub currents_a: Vec<f64>,
    /// Voltage across each cell, V, row-major.
    pub cell_v: Vec<f64>,
    /// Power drawn from the drivers, W.
    pub power_w: f64,
    /// Iterations that the solver took.
    pub iterations: usize,
    /// Largest violation of Kirchhoff's current law, relative to the largest cell current.
    pub residual: f64,
}

/// Column currents of ideal wires, A.
pub fn ideal(g: &[f64], columns: usize, volt: &[f64]) -> Vec<f64> {
    let mut currents = vec![0.0; columns];
    for (row, v) in g.chunks_exact(columns).zip(volt) {
        for (sum, g) in currents.iter_mut().zip(row) {
            *sum += g * v;
        }
    }
    currents
}

/// R_row·rowterm + R_col·colterm for each cell, the drop relative to the cell's voltage in first order:
/// rowterm_ij = Σ_{k≤j} Σ_{l≥k} G_il and colterm_ij = Σ_{p≥i} Σ_{q≤p} G_qj.
pub fn drop_terms(g: &[f64], columns: usize, wires: &Wires) -> Vec<f64> {
    let rows = g.len() / columns.max(1);
    let mut drop = vec![0.0; g.len()];
    for i in 0..rows {
        let row = &g[i * columns..][..columns];
        let mut ahead: f64 = row.iter().sum();
        let mut term = 0.0;
        for j in 0..columns {
            term += ahead;
            ahead -= row[j];
            drop[i * columns + j] = wires.row_ohm * term;
        }
    }
    let mut behind = vec![0.0; columns];
    let mut term = vec![0.0; columns];
    for i in 0..rows {
        for j in 0..columns {
            behind[j] += g[i * columns + j];
            term[j] += behind[j];
        }
    }
    behind.fill(0.0);
    for i in 0..rows {
        for j in 0..columns {
            drop[i * columns + j] += wires.column_ohm * term[j];
            behind[j] += g[i * columns + j];
            term[j] -= behind[j];
        }
    }
    drop
}

/// T = G/(1 + drop), with the drop of [`drop_terms`]: the matrix whose products with row voltages are nearly the
/// currents with wires.
pub fn factorised(g: &[f64], columns: usize, wires: &Wires) -> Vec<f64> {
    g.iter().zip(drop_terms(g, columns, wires)).map(|(g, d)| g / (1.0 + d)).collect()
}

/// Solves Kirchhoff's current law at both nodes of every cell, by conjugate gradients preconditioned with the
/// exact solution of every single line, until it holds to rounding error.
pub fn solve(g: &[f64], columns: usize, volt: &[f64], wires: &Wires) -> Nodal {
    let system = System::new(g, columns, wires);
    // Unknowns: drop of each row node below its driver, height of each column node above ground.
    let source: Vec<f64> = g.iter().enumerate().map(|(n, g)| g * volt[n / columns.max(1)]).collect();
    let right = system.masked(&source);
    let (drop, iterations) = system.conjugate_gradients(&right);
    let cells = g.len();
    let cell_v: Vec<f64> = (0..cells).map(|n| volt[n / columns.max(1)] - drop[n] - drop[cells + n]).collect();
    let mut currents_a = vec![0.0; columns];
    for n in 0..cells {
        currents_a[n % columns] += g[n] * cell_v[n];
    }
    let power_w = (0..cells).map(|n| volt[n / columns] * g[n] * cell_v[n]).sum();
    let mut product = vec![0.0; 2 * cells];
    system.apply(&drop, &mut product);
    let scale = source.iter().fold(f64::MIN_POSITIVE, |m, s| m.max(s.abs()));
    let residual = product.iter().zip(&right).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
    Nodal { currents_a, cell_v, power_w, iterations, residual }
}

/// The nodal equations: row nodes first, then column nodes, both row-major.
struct System<'a> {
    g: &'a [f64],
    columns: usize,
    rows: usize,
    row_s: f64,
    column_s: f64,
    /// Factors of the tridiagonal line equations: the pivots' reciprocals.
    pivots: Vec<f64>,
}

impl<'a> System<'a> {
    fn new(g: &'a [f64], columns: usize, wires: &Wires) -> Self {
        let siemens = |ohm: f64| if ohm > 0.0 { 1.0 / ohm } else { f64::INFINITY };
        let mut system = Self {
            g,
            columns,
            rows: g.len() / columns.max(1),
            row_s: siemens(wires.row_ohm),
            column_s: siemens(wires.column_ohm),
            pivots: vec![0.0; 2 * g.len()],
        };
        let cells = g.len();
        for n in 0..2 * cells {
            let (line, place) = system.place(n);
            let mut pivot = system.diagonal(n);
            if place > 0 {
                let before = n - line.stride;
                pivot -= line.siemens * line.siemens * system.pivots[before];
            }
            system.pivots[n] = if line.siemens.is_finite() { 1.0 / pivot } else { 0.0 };
        }
        system
    }

    /// The line of a node, and its place on it from the end without a segment… counted in storage order.
    fn place(&self, n: usize) -> (Line, usize) {
        let cells = self.g.len();
        if n < cells {
            (Line { stride: 1, length: self.columns, siemens: self.row_s }, n % self.columns)
        } else {
            (
                Line { stride: self.columns, length: self.rows, siemens: self.column_s },
                (n - cells) / self.columns,
            )
        }
    }

    /// Diagonal entry: the cell and its one or two segments. The driven end of a row is its first cell, the
    /// grounded end of a column its last; the other ends are open.
    fn diagonal(&self, n: usize) -> f64 {
        let cells = self.g.len();
        let (line, place) = self.place(n);
        let open = if n < cells { place + 1 == line.length } else { place == 0 };
        let segments = if open { 1.0 } else { 2.0 };
        segments * line.siemens + self.g[n % cells]
    }

    /// The source currents at both nodes of each cell; nothing at nodes of ideal wires.
    fn masked(&self, source: &[f64]) -> Vec<f64> {
        let at = |siemens: f64, s: &f64| if siemens.is_finite() { *s } else { 0.0 };
        let rows = source.iter().map(|s| at(self.row_s, s));
        rows.chain(source.iter().map(|s| at(self.column_s, s))).collect()
    }

    fn apply(&self, x: &[f64], out: &mut [f64]) {
        let cells = self.g.len();
        for n in 0..2 * cells {
            let (line, place) = self.place(n);
            if !line.siemens.is_finite() {
                out[n] = 0.0;
                continue;
            }
            let mut along = 0.0;
            if place > 0 {
                along += x[n - line.stride];
            }
            if place + 1 < line.length {
                along += x[n + line.stride];
            }
            let other = if n < cells { n + cells } else { n - cells };
            out[n] = self.diagonal(n) * x[n] - line.siemens * along + self.g[n % cells] * x[other];
        }
    }

    /// Solves every line by itself (Thomas' algorithm with stored pivots).
    fn precondition(&self, r: &[f64], out: &mut [f64]) {
        for n in 0..r.len() {
            let (line, place) = self.place(n);
            let mut value = r[n];
            if place > 0 && line.siemens.is_finite() {
                value += line.siemens * out[n - line.stride];
            }
            out[n] = value * self.pivots[n];
        }
        for n in (0..r.len()).rev() {
            let (line, place) = self.place(n);
            if place + 1 < line.length && line.siemens.is_finite() {
                out[n] += line.siemens * self.pivots[n] * out[n + line.stride];
            }
        }
    }

    fn conjugate_gradients(&self, right: &[f64]) -> (Vec<f64>, usize) {
        let n = right.len();
        let mut x = vec![0.0; n];
        let mut r = right.to_vec();
        let mut z = vec![0.0; n];
        self.precondition(&r, &mut z);
        let mut p = z.clone();
        let mut product = vec![0.0; n];
        let mut rho = dot(&r, &z);
        let target = rho * 1e-30;
        let mut iterations = 0;
        while rho > target && iterations < 10_000 {
            self.apply(&p, &mut product);
            let step = rho / dot(&p, &product);
            for k in 0..n {
                x[k] += step * p[k];
                r[k] -= step * product[k];
            }
            self.precondition(&r, &mut z);
            let next = dot(&r, &z);
            let turn = next / rho;
            for k in 0..n {
                p[k] = z[k] + turn * p[k];
            }
            rho = next;
            iterations += 1;
        }
        (x, iterations)
    }
}

#[derive(Clone, Copy)]
struct Line {
    stride: usize,
    length: usize,
    siemens: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Resistance of one wire segment for a wire width (nm) at a 4F pitch, Ω, interpolated on log scales between
/// the values of NeuroSim's wire table; half of it at a 2F pitch.
pub fn segment_ohm(width_nm: f64) -> f64 {
    const TABLE: [(f64, f64); 6] =
        [(14.0, 10.1), (22.0, 4.92), (32.0, 2.97), (40.0, 2.12), (50.0, 1.34), (100.0, 0.47)];
    let width = width_nm.clamp(TABLE[0].0, TABLE[5].0);
    let above = TABLE.iter().position(|(w, _)| *w >= width).unwrap_or(5).max(1);
    let ((w0, r0), (w1, r1)) = (TABLE[above - 1], TABLE[above]);
    let share = (width / w0).ln() / (w1 / w0).ln();
    (r0.ln() + share * (r1 / r0).ln()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passive::eliminate;

    fn array(rows: usize, columns: usize) -> (Vec<f64>, Vec<f64>) {
        let g = (0..rows * columns).map(|n| 1e-6 + 1e-4 * ((n * 7919 % 101) as f64 / 101.0)).collect();
        (g, (0..rows).map(|i| 0.2 * ((i * 5 + 3) % 8) as f64 / 8.0).collect())
    }

    /// The same equations written out node by node and eliminated.
    fn dense(g: &[f64], columns: usize, volt: &[f64], wires: &Wires) -> Vec<f64> {
        let (cells, rows) = (g.len(), g.len() / columns);
        let (row_s, column_s) = (1.0 / wires.row_ohm, 1.0 / wires.column_ohm);
        let mut m = vec![vec![0.0; 2 * cells + 1]; 2 * cells];
        let mut join = |a: usize, b: Option<usize>, s: f64, v: f64| {
            m[a][a] += s;
            match b {
                Some(b) => {
                    m[b][b] += s;
                    m[a][b] -= s;
                    m[b][a] -= s;
                }
                None => m[a][2 * cells] += s * v,
            }
        };
        for i in 0..rows {
            for j in 0..columns {
                let n = i * columns + j;
                join(n, Some(cells + n), g[n], 0.0);
                match j {
                    0 => join(n, None, row_s, volt[i]),
                    _ => join(n, Some(n - 1), row_s, 0.0),
                }
                match i + 1 == rows {
                    true => join(cells + n, None, column_s, 0.0),
                    false => join(cells + n, Some(cells + n + columns), column_s, 0.0),
                }
            }
        }
        let v = eliminate(m).unwrap();
        (0..columns).map(|j| column_s * v[cells + (rows - 1) * columns + j]).collect()
    }

    #[test]
    fn the_solver_agrees_with_elimination_up_to_heavy_losses() {
        for (rows, columns, row_ohm, column_ohm) in
            [(5, 7, 1.0, 2.0), (7, 4, 300.0, 50.0), (6, 6, 3000.0, 3000.0)]
        {
            let (g, v) = array(rows, columns);
            let wires = Wires { row_ohm, column_ohm };
            let nodal = solve(&g, columns, &v, &wires);
            let expected = dense(&g, columns, &v, &wires);
            for (a, b) in nodal.currents_a.iter().zip(&expected) {
                assert!((a / b - 1.0).abs() < 1e-10, "{rows}x{columns}: {a} instead of {b}");
            }
            assert!(nodal.residual < 1e-10);
        }
    }

    #[test]
    fn wires_without_resistance_change_nothing() {
        let (g, v) = array(9, 5);
        let wires = Wires { row_ohm: 0.0, column_ohm: 0.0 };
        assert_eq!(solve(&g, 5, &v, &wires).currents_a, ideal(&g, 5, &v));
        assert_eq!(factorised(&g, 5, &wires), g);
        let near = solve(&g, 5, &v, &Wires { row_ohm: 1e-9, column_ohm: 0.0 });
        for (a, b) in near.currents_a.iter().zip(ideal(&g, 5, &v)) {
            assert!((a / b - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn power_from_the_drivers_is_dissipated_in_cells_and_wires() {
        let (g, v) = array(8, 8);
        let nodal = solve(&g, 8, &v, &Wires { row_ohm: 20.0, column_ohm: 20.0 });
        let cells: f64 = g.iter().zip(&nodal.cell_v).map(|(g, v)| g * v * v).sum();
        assert!(nodal.power_w > cells && nodal.power_w < 1.2 * cells);
    }

    #[test]
    fn segments_follow_the_wire_table() {
        assert!((segment_ohm(32.0) - 2.97).abs() < 1e-12);
        assert!(segment_ohm(60.0) < 1.34 && segment_ohm(60.0) > 0.47);
    }
}
