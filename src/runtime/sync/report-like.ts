import { arePartHashes, partOf, samePartsOf } from '../../control/parts.ts';
import { reportPartHashes } from '../../control/report-parts.ts';
import type { Report, ReportLike } from '../../gen/adaptlet/control/v1/control.ts';

/** The report without the adapters that another runtime reported alike, part by part. */
export const likeReport = (report: Report, { partHashes }: ReportLike): Report => {
  if (!arePartHashes(partHashes)) return report;
  const parts = partHashes.length;
  const likeParts = samePartsOf(reportPartHashes(report.adapters, parts), partHashes);
  const isLike = new Set(likeParts);
  return {
    ...report,
    adapters: report.adapters.filter(({ key }) => !isLike.has(partOf(key, parts))),
    likeParts,
  };
};
