//! The URL of an image: whatever it is, it has one canonical text, and what is planned for it stays within the limits.

use drystone::images::limits::OUTPUT_SIDE_MAX;
use drystone::images::options::{Area, Options};
use drystone::images::path::{ImagePath, Wish};
use drystone::images::plan::{placing_of, plan, within};

pub(super) fn image_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = ImagePath::parse(text) else { return };
    assert!(!path.key.is_empty());
    let Wish::Made(options) = path.wish else { return };
    let canonical = options.to_string();
    let again = Options::parse(&canonical).unwrap();
    assert_eq!(again, *options);
    assert_eq!(again.to_string(), canonical);
    for (right, bottom) in [(1, 1), (1, 60_000), (640, 480), (7_000, 7_000)] {
        let whole = Area {
            left: 0,
            top: 0,
            right,
            bottom,
        };
        let Some(area) = within(whole, &options) else { continue };
        let placing = options.filters.focal.map(|focal| placing_of(focal, area, &options));
        let planned = plan(area, &options, placing);
        let (width, height) = planned.canvas.unwrap_or(planned.size);
        assert!((1..=OUTPUT_SIDE_MAX).contains(&width) && (1..=OUTPUT_SIDE_MAX).contains(&height));
        let taken = planned.taken;
        assert!(taken.left >= -1e-6 && taken.left + taken.width <= f64::from(right) + 1e-6);
        assert!(taken.top >= -1e-6 && taken.top + taken.height <= f64::from(bottom) + 1e-6);
    }
}

pub(super) fn image_urls() -> Vec<Vec<u8>> {
    [
        "fit-in/400x300/filters:quality(80)/0123456789abcdef0123456789abcdef/a%20b.png",
        "192x192/smart/filters:quality(80)/k.jpg",
        "TaWoUq6tvBe2HywzAULy6_Np-2k=/300x200/smart/path/to/image.jpg",
        "unsafe/trim:top-left:50/10x20:110x220/adaptive-full-fit-in/-origx-300/left/bottom/smart/k",
        "p/card/k.jpg",
        "filters:blur(7,3):fill(f00,1):focal(1x2:3x4):rotate(90):max_bytes(9):no_upscale():format(webp)/k",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
