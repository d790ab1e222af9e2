//! What can be wrong with a device.

/// Why a device cannot be read or compiled.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No preset and no file of that name.
    #[error("no device is called `{name}`; known: {known}; or give a file ending in .toml")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The presets' names.
        known: String,
    },
    /// A device file is no device.
    #[error("{file}: {why}; `synop devices show reram-es --toml` prints a complete one")]
    File {
        /// The file, or the preset's name.
        file: String,
        /// The reader's words, with line and column.
        why: String,
    },
    /// A value is outside what its formula allows.
    #[error("device `{device}`: {field} is {found}, expected {expected}")]
    Value {
        /// The device.
        device: String,
        /// The key.
        field: &'static str,
        /// What stood there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The compiled words are refused by the core.
    #[error("device `{device}` at {state_bits} bits: {why}")]
    Words {
        /// The device.
        device: String,
        /// Bits of its state.
        state_bits: u32,
        /// The core's words.
        why: synop_core::device::DeviceError,
    },
}
