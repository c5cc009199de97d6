import { chartsSection } from './charts-section.ts'
import { detailsSection } from './details-section.ts'
import { escapeHtml } from './escape-html.ts'
import { evaluationsSection } from './evaluations-section.ts'
import { eventsSection } from './events-section.ts'
import { clip } from './format.ts'
import { headSection } from './head-section.ts'
import { maskSection } from './mask-section.ts'
import { REPORT_SCRIPT, REPORT_SCRIPT_HASH } from './report-script.ts'
import { REPORT_STYLE } from './report-style.ts'
import type { RunRecord } from './run-record.ts'
import { samplesSection } from './samples-section.ts'

export interface ReportHtmlOptions {
  /** The page loads itself again each so many seconds until the run has ended. Default: never. */
  readonly refreshSeconds?: number
}

/**
 * A run as one page of HTML that opens offline: the outcome, charts, events, evaluations, samples before and after, rows with
 * their masks, the recipe. It loads nothing and runs no script but its own; all that comes from the run is escaped. Long
 * series are thinned to the lowest and highest of each stretch. The same record gives the same text.
 */
export const reportHtml = (run: RunRecord, { refreshSeconds }: ReportHtmlOptions = {}): string => {
  const running = refreshSeconds !== undefined && !run.end
  const sections = [chartsSection, evaluationsSection, samplesSection, eventsSection, maskSection, detailsSection]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${REPORT_SCRIPT_HASH}'; img-src data:; base-uri 'none'; form-action 'none'">
${running ? `<meta http-equiv="refresh" content="${Math.max(1, Math.round(refreshSeconds))}">\n` : ''}<link rel="icon" href="data:,">
<title>${escapeHtml(clip(run.title, 300))} · Graft</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
${headSection(run, running)}
<main>
${earlier(run)}${sections
  .map((section) => section(run))
  .filter(Boolean)
  .join('\n')}
</main>
<script>${REPORT_SCRIPT}</script>
</body>
</html>
`
}

/** Totals that miss a part must say so. */
const earlier = ({ steps }: RunRecord): string => {
  const first = steps[0]?.step ?? 1
  return first > 1
    ? `<p class="quiet missing">The run was resumed: steps 1 to ${first - 1} are not in this report, nor in its totals.</p>\n`
    : ''
}
