//! A commented configuration to start from: the files of `examples/starter`, so that they are tested.

/// Each file's path relative to the main file's directory, and its content. The main file is the first.
pub const STARTER_FILES: &[(&str, &str)] = &[
    ("agentcron.toml", include_str!("../../examples/starter/agentcron.toml")),
    ("crons.d/hello.toml", include_str!("../../examples/starter/crons.d/hello.toml")),
];
