//! The formats on the drives read by the book (docs/on-disk-format.md) a second time, with nothing of the engine.

/// CRC-32 (IEEE), bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// The little-endian number at `at`; `None` if the bytes end before.
pub(super) fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at + len)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    )
}

/// A frame's fields, if its checksums hold and it says format 1 and a known kind.
pub(super) struct FrameFields<'a> {
    pub(super) kind: u64,
    pub(super) shard: u64,
    pub(super) segment: &'a [u8],
    pub(super) offset: u64,
    pub(super) data_len: u64,
    pub(super) payload: &'a [u8],
}

pub(super) fn frame(bytes: &[u8]) -> Option<FrameFields<'_>> {
    let header = bytes.get(..48)?;
    let payload_len = usize::try_from(number(header, 8, 4)?).ok()?;
    let payload = bytes.get(48..)?.get(..payload_len)?;
    let sealed = number(header, 44, 4)? == u64::from(crc32(&header[..44]));
    let whole = number(header, 12, 4)? == u64::from(crc32(payload));
    let known = header[4] == 1 && (1..=3).contains(&header[5]) && header[7] == 0;
    (header.starts_with(b"DSFR") && sealed && whole && known).then(|| FrameFields {
        kind: u64::from(header[5]),
        shard: u64::from(header[6]),
        segment: &header[16..32],
        offset: number(header, 32, 8).unwrap_or(0),
        data_len: number(header, 40, 4).unwrap_or(0),
        payload,
    })
}

/// Makes the checksums of a frame right again, so that what lies behind them is reached.
pub(super) fn reseal_frame(bytes: &mut [u8]) {
    if bytes.len() < 48 {
        return;
    }
    let (header, payload) = bytes.split_at_mut(48);
    let len = u32::try_from(payload.len()).unwrap();
    header[..4].copy_from_slice(b"DSFR");
    header[8..12].copy_from_slice(&len.to_le_bytes());
    header[12..16].copy_from_slice(&crc32(payload).to_le_bytes());
    let crc = crc32(&header[..44]);
    header[44..].copy_from_slice(&crc.to_le_bytes());
}

/// The payload of a root slot, if both checksums hold.
pub(super) fn slot(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.get(..24)?;
    let len = usize::try_from(number(header, 12, 4)?).ok()?;
    let payload = bytes.get(24..)?.get(..len)?;
    let sealed = number(header, 20, 4)? == u64::from(crc32(&header[..20]));
    let whole = number(header, 16, 4)? == u64::from(crc32(payload));
    (header.starts_with(b"DSROOT01") && number(header, 8, 4)? == 1 && sealed && whole).then_some(payload)
}

/// As [`reseal_frame`], for a slot.
pub(super) fn reseal_slot(bytes: &mut [u8]) {
    if bytes.len() < 24 {
        return;
    }
    let (header, payload) = bytes.split_at_mut(24);
    let len = u32::try_from(payload.len()).unwrap();
    header[..8].copy_from_slice(b"DSROOT01");
    header[8..12].copy_from_slice(&1_u32.to_le_bytes());
    header[12..16].copy_from_slice(&len.to_le_bytes());
    header[16..20].copy_from_slice(&crc32(payload).to_le_bytes());
    let crc = crc32(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Year, month and day of a day since 1970, counted year by year.
fn calendar(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

/// The HTTP date of a second since 1970.
pub(super) fn http_date(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = calendar(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!(
        "{}, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month]
    )
}

/// The date of a signature that a `Date` header stands for: it may also be written as one.
pub(super) fn from_http_date(text: &str) -> String {
    let words: Vec<&str> = text.split([' ', ':', ',']).filter(|word| !word.is_empty()).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = words[..] else {
        return text.to_owned();
    };
    let month = MONTHS.iter().position(|known| *known == month).map_or(0, |at| at + 1);
    format!("{year}{month:02}{day:0>2}T{hour}{minute}{second}Z")
}
