//! A container file as a tree of groups, datasets and attributes, whatever its format.

use super::NirError;
use std::collections::BTreeMap;

/// The values of a dataset or an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floating-point numbers of any stored width.
    Float(Vec<f64>),
    /// Integers and booleans of any stored width.
    Int(Vec<i64>),
    /// Text.
    Text(Vec<String>),
    /// A stored type that is neither; the text says which.
    Other(String),
}

impl Values {
    /// What kind of values these are, for error messages.
    pub fn kind(&self) -> &str {
        match self {
            Values::Float(_) => "floats",
            Values::Int(_) => "integers",
            Values::Text(_) => "text",
            Values::Other(what) => what,
        }
    }
}

/// A dataset or an attribute: a shape and its values in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// Length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
    /// Attributes of a dataset.
    pub attributes: BTreeMap<String, Data>,
    /// True where integers are stored as booleans.
    pub boolean: bool,
}

impl Data {
    /// A dataset without attributes.
    pub fn new(shape: Vec<usize>, values: Values) -> Self {
        Self { shape, values, attributes: BTreeMap::new(), boolean: false }
    }

    /// A scalar text.
    pub fn text(value: &str) -> Self {
        Self::new(Vec::new(), Values::Text(vec![value.to_string()]))
    }

    /// A scalar integer.
    pub fn int(value: i64) -> Self {
        Self::new(Vec::new(), Values::Int(vec![value]))
    }

    /// A scalar float.
    pub fn float(value: f64) -> Self {
        Self::new(Vec::new(), Values::Float(vec![value]))
    }

    /// A vector of integers.
    pub fn ints(values: Vec<i64>) -> Self {
        Self::new(vec![values.len()], Values::Int(values))
    }

    /// Shape and kind in one phrase, for error messages.
    pub fn describe(&self) -> String {
        format!("{} of shape {:?}", self.values.kind(), self.shape)
    }
}

/// A group or a dataset.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A group.
    Group(Tree),
    /// A dataset.
    Data(Data),
}

/// A group: its attributes and what it holds, by name.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tree {
    /// Attributes of the group.
    pub attributes: BTreeMap<String, Data>,
    /// Groups and datasets.
    pub items: BTreeMap<String, Item>,
}

impl Tree {
    /// The subgroup of that name.
    pub fn group(&self, name: &str) -> Option<&Tree> {
        match self.items.get(name) {
            Some(Item::Group(tree)) => Some(tree),
            _ => None,
        }
    }

    /// The dataset of that name.
    pub fn data(&self, name: &str) -> Option<&Data> {
        match self.items.get(name) {
            Some(Item::Data(data)) => Some(data),
            _ => None,
        }
    }

    /// Adds a dataset.
    pub fn put(&mut self, name: &str, data: Data) {
        self.items.insert(name.to_string(), Item::Data(data));
    }

    /// Adds a group.
    pub fn put_group(&mut self, name: &str, tree: Tree) {
        self.items.insert(name.to_string(), Item::Group(tree));
    }
}

/// How much a file may make the reader allocate and do, however it lies about its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of decoded values over the whole file. A file is also held to 1,100 times its
    /// own length plus 1 MiB (deflate cannot expand by more than 1,032).
    pub bytes: u64,
    /// Most groups and datasets.
    pub objects: usize,
    /// Deepest nesting of groups.
    pub depth: usize,
}

impl Default for Limits {
    /// 512 MiB of values, 65,536 objects, 32 levels.
    fn default() -> Self {
        Self { bytes: 512 << 20, objects: 65_536, depth: 32 }
    }
}

/// A file format that holds a tree.
pub trait Container {
    /// Decodes the bytes of a file within the limits.
    fn load(&self, bytes: Vec<u8>, limits: Limits) -> Result<Tree, NirError>;
    /// Encodes a tree as the bytes of a file.
    fn store(&self, tree: &Tree) -> Result<Vec<u8>, NirError>;
}
