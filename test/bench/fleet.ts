import { measure } from './fleet/measure.ts';
import { fleetReport, type Point } from './fleet/reported.ts';
import { fleetSettings } from './fleet/sizes.ts';
import type { Report } from './report.ts';

/**
 * What a fleet costs one operator: a real API server and operator, hollow runtimes, one change of a rollout and one flap of a
 * link a second. Several numbers of runtimes give a curve; the names without a number are of the last one.
 */
export const fleet = async (): Promise<Report> => {
  const settings = fleetSettings(process.env);
  const points: Point[] = [];
  const failed: Record<string, string> = {};
  for (const size of settings.sizes) {
    console.error(`== ${size.runtimes} runtimes`);
    try {
      points.push({ size, measured: await measure(size, settings) });
    } catch (error) {
      // What was measured before is not lost, and the report says what was not.
      if (points.length === 0) throw error;
      console.error(error);
      failed[`failed_r${size.runtimes}`] = error instanceof Error ? error.message : String(error);
      break;
    }
  }
  return fleetReport(points, settings, failed);
};
