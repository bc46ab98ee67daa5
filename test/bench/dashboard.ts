import { bigFleet } from '../integration/dashboard/big-fleet.ts';
import { chromium, startBrowser } from '../tools/chromium.ts';
import { type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const runtimes = 1000;
const rounds = roundsOf(20);
const views = { start: '', fleet: 'fleet', rollout: 'rollout/team-a/sql' } as const;
type View = keyof typeof views;

/**
 * The page of the dashboard in headless Chromium, opened anew each time: until something is seen (first contentful paint), and until
 * the first answer of the operator is shown. Browser and operator share the machine.
 */
export const dashboard = async (): Promise<Report> => {
  const found = await chromium();
  if (found === undefined) throw new Error('there is no Chromium, and apt does not have it');
  await using shown = await bigFleet(runtimes);
  const browser = await startBrowser(found);
  const version = await browser.version();
  const samples = new Map<string, number[]>();
  const add = (key: string, ms: number): void => {
    samples.set(key, [...(samples.get(key) ?? []), ms]);
  };
  const open = async (view: View): Promise<void> => {
    // Nothing of the visit before is kept.
    const context = await browser.createBrowserContext();
    try {
      const page = await context.newPage();
      await page.setExtraHTTPHeaders({ authorization: 'Bearer t' });
      const started = performance.now();
      await page.goto(`${shown.url}#/${views[view]}`);
      await page.waitForSelector('main h1');
      add(`shown_${view}`, performance.now() - started);
      const paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
      add(`first_paint_${view}`, Number(await page.evaluate(paint)));
    } finally {
      await context.close();
    }
  };
  const shuffle = shuffler(1);
  try {
    for (let round = 0; round <= rounds; round += 1) {
      for (const view of shuffle(Object.keys(views) as View[])) await open(view);
      // The first one warms up.
      if (round === 0) samples.clear();
    }
  } finally {
    await browser.close();
  }
  return report('dashboard', 'ms', {
    results: Object.fromEntries([...samples].map(([key, values]) => [key, variant(values)])),
    ratios: {},
    setup: { runtimes, rounds, browser: version },
  });
};
