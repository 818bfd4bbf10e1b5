import { expect, test } from "vitest";
import { bytes, count, duration, image, percent, rate, relative, shellWord, short } from "../src/format";

function check<In, Out>(of: (value: In) => Out, cases: [In, Out][]): void {
  for (const [value, expected] of cases) expect(of(value), String(value)).toBe(expected);
}

test("bytes are binary and humanised", () => {
  check(bytes, [[0, "0 B"], [512, "512 B"], [1024, "1 KiB"], [1536, "1.5 KiB"], [24 * 2 ** 30, "24 GiB"], [2 ** 60, "1,024 PiB"], [null, "–"], [undefined, "–"]]);
});

test("three digits matter", () => {
  check(short, [[1234.5, "1,235"], [12.34, "12.3"], [1.234, "1.23"], [0.05, "0.05"], [7, "7"]]);
  check(rate, [[0, "0"], [1999.4, "1,999"], [0.4, "0.4"], [null, "–"]]);
});

test("durations use the unit that a person would", () => {
  check(duration, [
    [0, "0 ms"], [0.85, "850 µs"], [12.34, "12.3 ms"], [999, "999 ms"], [1000, "1.0 s"], [4_200, "4.2 s"], [59_960, "1 min 0 s"],
    [185_000, "3 min 5 s"], [3_599_600, "1 h 0 min"], [7_800_000, "2 h 10 min"], [90_000_000, "1 d 1 h"], [null, "–"], [Number.NaN, "–"],
  ]);
});

test("times are relative, in both directions", () => {
  const now = 1_000_000_000;
  check((at: number) => relative(at, now), [
    [now, "just now"], [now - 12_000, "12 s ago"], [now - 300_000, "5 min ago"], [now - 7_200_000, "2 h ago"], [now - 172_800_000, "2 d ago"], [now + 300_000, "in 5 min"],
  ]);
});

test("shares tell nothing from little", () => {
  expect(percent(0, 100)).toBe("0 %");
  expect(percent(1, 1_000_000)).toBe("< 0.01 %");
  expect(percent(1, 3)).toBe("33.3 %");
  expect(percent(0, 0)).toBe("–");
});

test("nouns, images and shell words", () => {
  expect(count(1, "host")).toBe("1 host");
  expect(count(2_000, "host")).toBe("2,000 hosts");
  expect(image(`10.77.0.1:5000/shop/web@sha256:${"0a1b2c3d4e5f".padEnd(64, "0")}`)).toBe("10.77.0.1:5000/shop/web@sha256:0a1b2c3d4e5f…");
  expect(shellWord("shop")).toBe("shop");
  expect(shellWord("my shop's")).toBe(`'my shop'\\''s'`);
});
