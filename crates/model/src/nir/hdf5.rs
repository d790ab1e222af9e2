//! The only place that knows the HDF5 crate: bytes to [`Tree`] and back.

mod layout5;

use super::NirError;
use super::tree::{Container, Data, Item, Limits, Tree, Values};
use hdf5_pure::{
    AttrValue, Dataset, Datatype, DatatypeByteOrder, EnumTypeBuilder, File, FileBuilder, FinishedGroup,
    Group, GroupBuilder, VlenStringReadOptions,
};
use std::collections::{BTreeMap, HashMap};

/// HDF5, as `nir` and h5py write it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hdf5;

impl Container for Hdf5 {
    fn load(&self, mut bytes: Vec<u8>, limits: Limits) -> Result<Tree, NirError> {
        let allowed = (bytes.len() as u64).saturating_mul(1100).saturating_add(1 << 20);
        layout5::rewrite_as_version_4(&mut bytes);
        let file = File::from_bytes(bytes).map_err(|e| container("/", e))?;
        let mut loader =
            Loader { bytes: allowed.min(limits.bytes), objects: limits.objects, depth: limits.depth };
        loader.group(&file.root(), "/", 0)
    }

    fn store(&self, tree: &Tree) -> Result<Vec<u8>, NirError> {
        let mut builder = FileBuilder::new();
        for (name, value) in &tree.attributes {
            builder.set_attr(name, attribute(name, value)?);
        }
        for (name, item) in &tree.items {
            match item {
                Item::Group(sub) => {
                    let group = builder.create_group(name);
                    builder.add_group(finish(group, sub)?);
                }
                Item::Data(data) => {
                    dataset(builder.create_dataset(name), name, data)?;
                }
            }
        }
        builder.finish().map_err(|e| container("/", e))
    }
}

fn container(at: &str, what: impl std::fmt::Display) -> NirError {
    NirError::Container { at: at.to_string(), what: format!("unreadable HDF5: {what}") }
}

/// Walks a file and keeps account of what it has used.
struct Loader {
    bytes: u64,
    objects: usize,
    depth: usize,
}

impl Loader {
    fn group(&mut self, group: &Group, at: &str, depth: usize) -> Result<Tree, NirError> {
        if depth > self.depth {
            return Err(NirError::Container {
                at: at.to_string(),
                what: format!("groups are nested deeper than {} levels (or form a loop)", self.depth),
            });
        }
        let mut tree =
            Tree { attributes: attributes(group.attrs().map_err(|e| container(at, e))?), ..Tree::default() };
        for name in group.datasets().map_err(|e| container(at, e))? {
            let path = join(at, &name);
            self.count_object(&path)?;
            let set = group.dataset(&name).map_err(|e| container(&path, e))?;
            let data = self.dataset(&set, &path)?;
            tree.put(&name, data);
        }
        for name in group.groups().map_err(|e| container(at, e))? {
            let path = join(at, &name);
            self.count_object(&path)?;
            let sub = group.group(&name).map_err(|e| container(&path, e))?;
            let sub = self.group(&sub, &path, depth + 1)?;
            tree.put_group(&name, sub);
        }
        Ok(tree)
    }

    fn count_object(&mut self, at: &str) -> Result<(), NirError> {
        self.objects = self.objects.checked_sub(1).ok_or_else(|| NirError::Container {
            at: at.to_string(),
            what: "too many groups and datasets".into(),
        })?;
        Ok(())
    }

    /// Takes `needed` bytes out of what the file may still use.
    fn take(&mut self, at: &str, needed: u64) -> Result<(), NirError> {
        self.bytes = self.bytes.checked_sub(needed).ok_or_else(|| NirError::Limit {
            at: at.to_string(),
            needed,
            limit: self.bytes,
        })?;
        Ok(())
    }

    fn dataset(&mut self, set: &Dataset, at: &str) -> Result<Data, NirError> {
        let bad = |e| container(at, e);
        let dims = set.shape().map_err(bad)?;
        let datatype = set.datatype().map_err(bad)?;
        let width = set.element_size().map_err(bad)?.max(8);
        let limit = self.bytes;
        let too_much = || NirError::Limit { at: at.to_string(), needed: u64::MAX, limit };
        let count = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).ok_or_else(too_much)?;
        let needed = count.checked_mul(width).ok_or_else(too_much)?;
        if let Some(chunk) = set.chunk_shape().map_err(bad)? {
            let chunk = chunk.iter().try_fold(width, |n, d| n.checked_mul(*d)).ok_or_else(too_much)?;
            if chunk > self.bytes {
                return Err(NirError::Limit { at: at.to_string(), needed: chunk, limit: self.bytes });
            }
        }
        self.take(at, needed)?;
        let shape: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let shape = shape.ok_or_else(too_much)?;
        let (values, boolean) = self.values(set, &datatype, count, at)?;
        let found = match &values {
            Values::Float(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::Text(v) => v.len(),
            Values::Other(_) => count as usize,
        };
        if found as u64 != count {
            return Err(NirError::Container {
                at: at.to_string(),
                what: format!("{found} values where the shape {shape:?} asks for {count}"),
            });
        }
        let attributes = attributes(set.attrs().map_err(bad)?);
        Ok(Data { shape, values, attributes, boolean })
    }

    fn values(
        &self,
        set: &Dataset,
        datatype: &Datatype,
        count: u64,
        at: &str,
    ) -> Result<(Values, bool), NirError> {
        let bad = |e| container(at, e);
        Ok(match datatype {
            Datatype::FloatingPoint { size: 2, byte_order, .. } => {
                let big = matches!(byte_order, DatatypeByteOrder::BigEndian);
                let raw = set.read_raw().map_err(bad)?;
                (Values::Float(raw.chunks_exact(2).map(|pair| half(pair, big)).collect()), false)
            }
            Datatype::FloatingPoint { .. } => (Values::Float(set.read_f64().map_err(bad)?), false),
            Datatype::FixedPoint { .. } => (Values::Int(set.read_i64().map_err(bad)?), false),
            Datatype::Enumeration { members, .. } => {
                let boolean =
                    members.len() == 2 && members.iter().any(|m| m.name.eq_ignore_ascii_case("true"));
                (Values::Int(set.read_i64().map_err(bad)?), boolean)
            }
            Datatype::String { .. } => {
                let text = set.read_string().map_err(bad)?;
                (Values::Text(text.into_iter().map(trim_padding).collect()), false)
            }
            Datatype::VariableLength { is_string: true, .. } => {
                let options = VlenStringReadOptions::new()
                    .with_max_elements(usize::try_from(count).unwrap_or(usize::MAX))
                    .with_max_payload_bytes(usize::try_from(self.bytes).unwrap_or(usize::MAX));
                (Values::Text(set.read_vlen_strings(options).map_err(bad)?), false)
            }
            other => (Values::Other(kind_of(other).to_string()), false),
        })
    }
}

/// A 16-bit float (IEEE 754 binary16), which the HDF5 crate does not convert.
fn half(pair: &[u8], big_endian: bool) -> f64 {
    let (high, low) = match pair {
        [a, b] if big_endian => (*a, *b),
        [a, b] => (*b, *a),
        _ => (0, 0),
    };
    let bits = (u16::from(high) << 8) | u16::from(low);
    let (exponent, fraction) = (i32::from((bits >> 10) & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(e - 25),
    };
    if bits & 0x8000 != 0 { -size } else { size }
}

fn join(at: &str, name: &str) -> String {
    if at == "/" { format!("/{name}") } else { format!("{at}/{name}") }
}

fn trim_padding(text: String) -> String {
    text.trim_end_matches(['\0', ' ']).to_string()
}

fn kind_of(datatype: &Datatype) -> &'static str {
    match datatype {
        Datatype::Compound { .. } => "a compound type",
        Datatype::Reference { .. } => "references",
        Datatype::VariableLength { .. } => "variable-length sequences",
        Datatype::Array { .. } => "an array type",
        Datatype::Opaque { .. } | Datatype::BitField { .. } => "raw bytes",
        _ => "a type that is not read",
    }
}

fn attributes(found: HashMap<String, AttrValue>) -> BTreeMap<String, Data> {
    found
        .into_iter()
        .filter_map(|(name, value)| {
            let data = if let Some(text) = value.as_str() {
                Data::text(text)
            } else if let Some(text) = value.as_strings() {
                Data::new(vec![text.len()], Values::Text(text.to_vec()))
            } else if let Some(int) = value.as_i64() {
                Data::int(int)
            } else if let Some(float) = value.as_f64() {
                Data::float(float)
            } else if let Some(ints) = value.to_i64s() {
                Data::ints(ints)
            } else {
                let floats = value.to_f64s()?;
                Data::new(vec![floats.len()], Values::Float(floats))
            };
            Some((name, data))
        })
        .collect()
}

fn finish(mut group: GroupBuilder, tree: &Tree) -> Result<FinishedGroup, NirError> {
    for (name, value) in &tree.attributes {
        group.set_attr(name, attribute(name, value)?);
    }
    for (name, item) in &tree.items {
        match item {
            Item::Group(sub) => {
                let sub = finish(group.create_group(name), sub)?;
                group.add_group(sub);
            }
            Item::Data(data) => dataset(group.create_dataset(name), name, data)?,
        }
    }
    Ok(group.finish())
}

fn attribute(name: &str, data: &Data) -> Result<AttrValue, NirError> {
    let scalar = data.shape.is_empty();
    Ok(match &data.values {
        Values::Text(t) if scalar => AttrValue::VarLenString(t.first().cloned().unwrap_or_default()),
        Values::Int(v) if scalar => AttrValue::I64(v.first().copied().unwrap_or_default()),
        Values::Float(v) if scalar => AttrValue::F64(v.first().copied().unwrap_or_default()),
        Values::Text(t) => AttrValue::StringArray(t.clone()),
        Values::Int(v) => AttrValue::I64Array(v.clone()),
        Values::Float(v) => AttrValue::F64Array(v.clone()),
        Values::Other(what) => {
            return Err(NirError::Container {
                at: format!("attribute {name}"),
                what: format!("{what} cannot be written"),
            });
        }
    })
}

fn dataset(builder: &mut hdf5_pure::DatasetBuilder, name: &str, data: &Data) -> Result<(), NirError> {
    let shape: Vec<u64> = data.shape.iter().map(|d| *d as u64).collect();
    match &data.values {
        Values::Float(v) if v.iter().all(|x| f64::from(*x as f32).to_bits() == x.to_bits()) => {
            let narrow: Vec<f32> = v.iter().map(|x| *x as f32).collect();
            builder.with_f32_data(&narrow);
        }
        Values::Float(v) => {
            builder.with_f64_data(v);
        }
        Values::Int(v) if data.boolean => {
            let boolean = EnumTypeBuilder::with_base(hdf5_pure::make_i8_type())
                .value("FALSE", 0)
                .value("TRUE", 1)
                .build()
                .map_err(|e| container(name, e))?;
            let bytes: Vec<u8> = v.iter().map(|x| u8::from(*x != 0)).collect();
            builder.with_enum_u8_data(boolean, &bytes);
        }
        Values::Int(v) => {
            builder.with_i64_data(v);
        }
        Values::Text(t) => {
            let text: Vec<&str> = t.iter().map(String::as_str).collect();
            builder.with_vlen_strings(&text);
        }
        Values::Other(what) => {
            return Err(NirError::Container {
                at: name.to_string(),
                what: format!("{what} cannot be written"),
            });
        }
    }
    builder.with_shape(&shape);
    for (key, value) in &data.attributes {
        builder.set_attr(key, attribute(key, value)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_floats_are_ieee_halves() {
        let little = |bits: u16| half(&bits.to_le_bytes(), false);
        assert_eq!(little(0x3c00), 1.0);
        assert_eq!(little(0xc000), -2.0);
        assert_eq!(little(0x0001), 2f64.powi(-24));
        assert_eq!(little(0x7bff), 65504.0);
        assert_eq!(half(&0x3555u16.to_be_bytes(), true), 0.333_251_953_125);
        assert!(little(0x7e00).is_nan());
    }
}
