//! [`Graph`] to [`Tree`], in the layout that `nir.read` takes.

use super::tree::{Data, Tree, Values};
use super::{Conv, Graph, Node, Padding, Pool};
use crate::array::Array;

/// The tree of a whole file.
pub(super) fn graph(graph: &Graph) -> Tree {
    let mut root = Tree::default();
    root.put("version", Data::text(graph.version.as_deref().unwrap_or("1.0.8")));
    root.put_group("node", subgraph(graph));
    root
}

fn subgraph(graph: &Graph) -> Tree {
    let mut tree = Tree::default();
    tree.put("type", Data::text("NIRGraph"));
    let names = graph.edges.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    tree.put("edges", Data::new(vec![graph.edges.len(), 2], Values::Text(names)));
    let mut nodes = Tree::default();
    for (name, node) in &graph.nodes {
        nodes.put_group(name, self::node(node));
    }
    tree.put_group("nodes", nodes);
    if let Some(metadata) = &graph.metadata {
        tree.put_group("metadata", metadata.clone());
    }
    tree
}

fn node(node: &Node) -> Tree {
    let mut tree = match node {
        Node::Graph(inner) => return subgraph(inner),
        _ => Tree::default(),
    };
    tree.put("type", Data::text(node.type_name()));
    let arrays = node.arrays();
    // nir insists on one shape for all parameters of a neuron.
    let widest = arrays.iter().map(|(_, a)| a).max_by_key(|a| (a.len(), a.shape().len()));
    for (key, array) in &arrays {
        let stretched = widest
            .filter(|w| node.is_neuron() && array.shape() != w.shape())
            .and_then(|w| Array::new(w.shape().to_vec(), array.broadcast(w.shape())?));
        tree.put(key, floats(stretched.as_ref().unwrap_or(array)));
    }
    match node {
        Node::Input { shape } | Node::Output { shape } => tree.put("shape", sizes(shape)),
        Node::Conv1d(conv) | Node::Conv2d(conv) => convolution(&mut tree, conv),
        Node::SumPool2d(pool) | Node::AvgPool2d(pool) => pooling(&mut tree, pool),
        Node::Flatten { start, end, input_shape } => {
            tree.put("start_dim", Data::int(*start));
            tree.put("end_dim", Data::int(*end));
            if let Some(shape) = input_shape {
                tree.put("input_type", sizes(shape));
            }
        }
        _ => {}
    }
    tree
}

fn convolution(tree: &mut Tree, conv: &Conv) {
    // nir keeps plain integers for one axis and pairs for two.
    let per_axis = |values: &[usize]| match values {
        [one] => Data::int(*one as i64),
        many => sizes(many),
    };
    let bias = conv.bias.broadcast(conv.weight.shape().get(..1).unwrap_or(&[]));
    if let Some(bias) = bias {
        tree.put("bias", floats(&Array::vector(bias)));
    }
    tree.put("stride", per_axis(&conv.stride));
    tree.put("dilation", per_axis(&conv.dilation));
    tree.put("groups", Data::int(conv.groups as i64));
    tree.put(
        "padding",
        match &conv.padding {
            Padding::Explicit(p) => per_axis(p),
            Padding::Same => Data::text("same"),
            Padding::Valid => Data::text("valid"),
        },
    );
    if let Some(shape) = &conv.input_shape {
        tree.put("input_shape", per_axis(shape));
    }
}

fn pooling(tree: &mut Tree, pool: &Pool) {
    tree.put("kernel_size", sizes(&pool.kernel));
    tree.put("stride", sizes(&pool.stride));
    tree.put("padding", sizes(&pool.padding));
}

fn floats(array: &Array) -> Data {
    Data::new(array.shape().to_vec(), Values::Float(array.data().to_vec()))
}

fn sizes(values: &[usize]) -> Data {
    Data::ints(values.iter().map(|v| *v as i64).collect())
}
