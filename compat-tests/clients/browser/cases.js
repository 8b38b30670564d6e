"use strict";
// What the pages share: a look at two values, the code of an error, and the report that the suite waits for.

function equal(left, right, what) {
  if (left !== right) throw new Error(`${what}: ${JSON.stringify(left)} is not ${JSON.stringify(right)}`);
}

async function code(response) {
  const xml = new DOMParser().parseFromString(await response.text(), "application/xml");
  return xml.querySelector("Error > Code").textContent;
}

async function play(cases) {
  const links = await (await fetch("links.json")).json();
  let report = "";
  let passed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run(links);
      passed += 1;
      report += `ok ${name}\n`;
    } catch (error) {
      report += `FAILED ${name}: ${error}\n`;
    }
  }
  await fetch("report", { method: "POST", body: `${report}cases: ${passed} passed of ${Object.keys(cases).length}\n` });
}
