//! Passive arrays: what a column senses when cells have no selector and lines are not all driven.
//!
//! Wires are ideal; every row and column is one node, held at a voltage or left floating.

/// How the lines that are not selected are held while one cell is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biasing {
    /// Not driven at all: sneak currents flow through three cells in series.
    Floating,
    /// All at 0 V: nothing sneaks, the selected row drives all its cells.
    Grounded,
    /// Rows and columns at V/2.
    Half,
    /// Rows at V/3, columns at 2V/3.
    Third,
}

/// A read of one cell of a passive array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveRead {
    /// Current into the selected column, A.
    pub sensed_a: f64,
    /// Power dissipated in the array, W.
    pub power_w: f64,
}

/// Reads cell `(row, column)` of `g` (`rows × columns`, S, row-major): the row at `volt`, the column at 0 V.
///
/// Returns `None` when the indices are outside the array or the nodes have no unique voltage.
pub fn read(
    g: &[f64],
    columns: usize,
    (row, column): (usize, usize),
    volt: f64,
    biasing: Biasing,
) -> Option<PassiveRead> {
    let rows = g.len().checked_div(columns)?;
    if g.len() != rows * columns || row >= rows || column >= columns {
        return None;
    }
    let (row_v, column_v) = match biasing {
        Biasing::Floating => (None, None),
        Biasing::Grounded => (Some(0.0), Some(0.0)),
        Biasing::Half => (Some(volt / 2.0), Some(volt / 2.0)),
        Biasing::Third => (Some(volt / 3.0), Some(2.0 * volt / 3.0)),
    };
    let fixed: Vec<Option<f64>> = (0..rows)
        .map(|i| if i == row { Some(volt) } else { row_v })
        .chain((0..columns).map(|j| if j == column { Some(0.0) } else { column_v }))
        .collect();
    let line = node_voltages(g, rows, columns, &fixed)?;
    let cells = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
    let across = |(i, j): (usize, usize)| line[i] - line[rows + j];
    let sensed_a = (0..rows).map(|i| g[i * columns + column] * across((i, column))).sum();
    let power_w = cells.map(|(i, j)| g[i * columns + j] * across((i, j)).powi(2)).sum();
    Some(PassiveRead { sensed_a, power_w })
}

/// Voltages of all lines, rows first, with the floating ones solved for.
fn node_voltages(g: &[f64], rows: usize, columns: usize, fixed: &[Option<f64>]) -> Option<Vec<f64>> {
    let free: Vec<usize> = (0..fixed.len()).filter(|&n| fixed[n].is_none()).collect();
    let mut matrix = vec![vec![0.0; free.len() + 1]; free.len()];
    for (equation, &n) in free.iter().enumerate() {
        let neighbours: Vec<(usize, f64)> = if n < rows {
            (0..columns).map(|j| (rows + j, g[n * columns + j])).collect()
        } else {
            (0..rows).map(|i| (i, g[i * columns + n - rows])).collect()
        };
        for (other, siemens) in neighbours {
            matrix[equation][equation] += siemens;
            match fixed[other] {
                Some(volt) => matrix[equation][free.len()] += siemens * volt,
                None => {
                    let column = free.iter().position(|&f| f == other)?;
                    matrix[equation][column] -= siemens;
                }
            }
        }
    }
    let solved = eliminate(matrix)?;
    let mut solved = solved.into_iter();
    fixed.iter().map(|f| f.or_else(|| solved.next())).collect()
}

/// Gaussian elimination with row pivoting of an augmented matrix.
pub(crate) fn eliminate(mut m: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = m.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| m[a][k].abs().total_cmp(&m[b][k].abs()))?;
        m.swap(k, pivot);
        if m[k][k] == 0.0 {
            return None;
        }
        let (done, rest) = m.split_at_mut(k + 1);
        let head = &done[k];
        for row in rest {
            let factor = row[k] / head[k];
            for (value, above) in row.iter_mut().zip(head).skip(k) {
                *value -= factor * above;
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let sum: f64 = (k + 1..n).map(|j| m[k][j] * x[j]).sum();
        x[k] = (m[k][n] - sum) / m[k][k];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grounded_array_senses_the_cell_alone() {
        let g: Vec<f64> = (1..=12).map(|k| f64::from(k) * 1e-6).collect();
        let read = read(&g, 4, (2, 1), 0.5, Biasing::Grounded).unwrap();
        assert!((read.sensed_a - 0.5 * 10e-6).abs() < 1e-18);
    }

    #[test]
    fn a_floating_array_of_equal_cells_senses_its_sneak_paths() {
        // n×n equal cells: one cell beside three in series of (n−1), (n−1)², (n−1) cells.
        let n = 5.0f64;
        let series = 1.0 / (2.0 / (n - 1.0) + 1.0 / (n - 1.0).powi(2));
        let read = read(&[1e-5; 25], 5, (0, 4), 0.2, Biasing::Floating).unwrap();
        assert!((read.sensed_a / (0.2 * 1e-5 * (1.0 + series)) - 1.0).abs() < 1e-12);
    }
}
