//! The order in which the nodes of one step are evaluated, and the edges that wait for the next.

use crate::nir::FlatGraph;

/// Order of evaluation. Layers follow one another within a step; an edge that closes a cycle
/// delivers what its source yielded in the step before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Every node, after all that feed it without delay.
    pub order: Vec<usize>,
    /// Edges that close a cycle, as they are met from the inputs in name order.
    pub delayed: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl Schedule {
    /// Walks the graph depth first from its inputs, then from nodes that nothing feeds, then
    /// from what is left. An edge back to a node still on the path closes a cycle.
    pub fn of(graph: &FlatGraph) -> Self {
        let n = graph.nodes.len();
        let mut targets = vec![Vec::new(); n];
        let mut fed = vec![false; n];
        for &(from, to) in &graph.edges {
            if let (Some(list), Some(mark)) = (targets.get_mut(from), fed.get_mut(to)) {
                list.push(to);
                *mark = true;
            }
        }
        let unfed = (0..n).filter(|i| !fed.get(*i).copied().unwrap_or(true));
        let starts: Vec<usize> = graph.inputs.iter().copied().chain(unfed).chain(0..n).collect();
        let mut walk = Walk { targets, mark: vec![Mark::New; n], finished: Vec::new(), delayed: Vec::new() };
        for start in starts {
            walk.from(start);
        }
        walk.finished.reverse();
        walk.delayed.sort_unstable();
        Self { order: walk.finished, delayed: walk.delayed }
    }

    /// True for an edge that waits for the next step.
    pub fn is_delayed(&self, from: usize, to: usize) -> bool {
        self.delayed.binary_search(&(from, to)).is_ok()
    }
}

struct Walk {
    targets: Vec<Vec<usize>>,
    mark: Vec<Mark>,
    finished: Vec<usize>,
    delayed: Vec<(usize, usize)>,
}

impl Walk {
    fn from(&mut self, start: usize) {
        if self.mark[start] != Mark::New {
            return;
        }
        self.mark[start] = Mark::Open;
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some(&target) = self.targets[node].get(*next) else {
                self.mark[node] = Mark::Done;
                self.finished.push(node);
                path.pop();
                continue;
            };
            *next += 1;
            match self.mark[target] {
                Mark::New => {
                    self.mark[target] = Mark::Open;
                    path.push((target, 0));
                }
                Mark::Open => self.delayed.push((node, target)),
                Mark::Done => {}
            }
        }
    }
}
