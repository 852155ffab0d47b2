//! The assistants of the embedded server: one for each of its two graphs.

use uuid::{Uuid, uuid};

/// The graph that a run executes. The server has one assistant for each graph, with an id derived from the
/// graph's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assistant {
    Agent,
    Asker,
}

impl Assistant {
    pub(super) const ALL: [Assistant; 2] = [Assistant::Agent, Assistant::Asker];

    pub(super) fn graph_id(self) -> &'static str {
        match self {
            Assistant::Agent => "agent",
            Assistant::Asker => "asker",
        }
    }

    /// Returns the id that the real server gives to the assistant of a graph with this name.
    pub(super) fn id(self) -> Uuid {
        match self {
            Assistant::Agent => uuid!("fe096781-5601-53d2-b2f6-0d3403f7e9ca"),
            Assistant::Asker => uuid!("7c5865b5-0e10-5c5f-8442-9225c0215d23"),
        }
    }

    /// Returns the name of the graph's only node.
    pub(super) fn node(self) -> &'static str {
        match self {
            Assistant::Agent => "echo",
            Assistant::Asker => "ask",
        }
    }
}
