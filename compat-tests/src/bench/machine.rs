//! Facts of the machine, and what a process costs by `/proc`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Prints processor, cores, memory, kernel and the file system of `folder`.
pub(super) fn print_facts(folder: &Path) {
    let of = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned();
        line.split_once(':')
            .map_or(line.clone(), |(_, value)| value.trim().to_owned())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("processor    {}", of("/proc/cpuinfo", "model name"));
    println!("cores        {cores}");
    println!("memory       {}", of("/proc/meminfo", "MemTotal"));
    println!("kernel       {}", kernel.trim());
    println!(
        "load before  {}",
        fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    let df = Command::new("df")
        .args(["--output=source,fstype,avail", "-h"])
        .arg(folder)
        .output();
    let df = df
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    println!("drives on    {}", df.lines().nth(1).unwrap_or("unknown"));
}

/// Processor time of a process so far, user and system, in seconds.
///
/// # Errors
/// When there is no such process.
pub(super) fn cpu_seconds(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("reading a process's times")?;
    // The name in brackets may hold anything; the fields after it are fixed.
    let (_, fields) = stat.rsplit_once(')').context("a process's times")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|field| field.parse::<f64>().ok())
            .context("a process's times")
    };
    Ok((ticks()? + ticks()?) / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of a process in MiB.
///
/// # Errors
/// When there is no such process.
pub(super) fn resident_mib(id: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("reading a process's memory")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("a process's memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1_024.0)
}
