//! Whether this processor runs the erasure code as it was compiled.

/// Checks for the instructions the accelerated code uses without asking. To be called before anything is encoded: an
/// older processor would end the program with an illegal instruction.
#[cfg(target_arch = "x86_64")]
pub fn cpu_supported() -> Result<(), &'static str> {
    let has_all = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("lzcnt")
        && std::arch::is_x86_feature_detected!("movbe");
    if has_all {
        return Ok(());
    }
    Err("this build needs a processor with AVX2 (Intel Haswell of 2013, AMD Excavator of 2015, or newer)")
}

/// The code runs on every processor of this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub fn cpu_supported() -> Result<(), &'static str> {
    Ok(())
}
