/** The code blocks of a page in Markdown that are in one language. */
export const codeBlocks = (page: string, language: string): string[] => {
  const blocks = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm');
  return [...page.matchAll(blocks)].map(([, text = '']) => text);
};
