import PostalMime from 'postal-mime'

/** What a reader sees of a mail: its subject and its text. Markup, encodings and headers are gone. */
export const mailText = async (raw: string | Uint8Array): Promise<string> => {
  const mail = await PostalMime.parse(raw)
  const body = mail.text?.trim() ? mail.text : stripMarkup(mail.html ?? '')
  return `Subject: ${squeeze(mail.subject ?? '')}\n${squeeze(body)}`
}

const stripMarkup = (html: string): string =>
  html
    .replace(/<(style|script|head)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<!--[\s\S]*?-->/g, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(nbsp|amp|lt|gt|quot|#39);/gi, (_, name: string) => entities[name.toLowerCase()]!)

const entities: Record<string, string> = { nbsp: ' ', amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }

const squeeze = (text: string): string => text.replace(/\s+/g, ' ').trim()

/** Two mails with one normalised body count as the same mail: digits, punctuation and case do not tell them apart. */
export const normalised = (text: string): string =>
  text
    .slice(text.indexOf('\n') + 1)
    .toLowerCase()
    .replace(/\p{Nd}+/gu, '0')
    .replace(/[\p{P}\p{S}]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
