//! Dense row-major arrays of floats with a shape, as they come out of network files.

/// A dense array in C (row-major) order. A scalar has the empty shape and one value.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    /// An array of `shape` over `data`; `None` when the product of the shape is not the length.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Option<Self> {
        (count(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// A scalar.
    pub fn scalar(value: f64) -> Self {
        Self { shape: Vec::new(), data: vec![value] }
    }

    /// A vector of the given values.
    pub fn vector(data: Vec<f64>) -> Self {
        Self { shape: vec![data.len()], data }
    }

    /// Length of each axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values in C order.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// True when there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same values under another shape of the same product.
    pub fn reshaped(self, shape: Vec<usize>) -> Option<Self> {
        Self::new(shape, self.data)
    }

    /// The array stretched to `shape` by the usual broadcasting rules: axes are matched from
    /// the last, and an axis of length one repeats. An array that has as many values as the
    /// shape asks for is taken as it is. `None` when it does not fit.
    pub fn broadcast(&self, shape: &[usize]) -> Option<Vec<f64>> {
        let wanted = count(shape)?;
        if self.data.len() == wanted {
            return Some(self.data.clone());
        }
        if self.data.len() == 1 {
            return Some(vec![*self.data.first()?; wanted]);
        }
        let lead = shape.len().checked_sub(self.shape.len())?;
        for (have, want) in self.shape.iter().zip(shape.iter().skip(lead)) {
            if have != want && *have != 1 {
                return None;
            }
        }
        let mut out = Vec::with_capacity(wanted);
        for flat in 0..wanted {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for axis in (0..shape.len()).rev() {
                let i = rest % shape[axis];
                rest /= shape[axis];
                if axis >= lead {
                    let have = self.shape[axis - lead];
                    at += stride * if have == 1 { 0 } else { i };
                    stride *= have;
                }
            }
            out.push(*self.data.get(at)?);
        }
        Some(out)
    }
}

/// Product of a shape, or `None` when it overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, axis| n.checked_mul(*axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_one_repeats_and_a_channel_vector_fills_its_plane() {
        let a = Array::new(vec![2, 1], vec![1.0, 2.0]).unwrap();
        assert_eq!(a.broadcast(&[2, 3]).unwrap(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(Array::scalar(3.0).broadcast(&[2, 2]).unwrap(), [3.0; 4]);
        assert_eq!(Array::vector(vec![1.0, 2.0]).broadcast(&[2, 2]).unwrap(), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(Array::vector(vec![1.0, 2.0]).broadcast(&[3]), None);
        assert_eq!(Array::new(vec![2, 2], vec![0.0; 3]), None);
    }
}
