/** What a model is for: which head stands on it. */
export type Task =
  | 'causal-lm'
  | 'masked-lm'
  | 'seq2seq'
  | 'seq-cls'
  | 'token-cls'
  | 'question-answering'
  | 'feature-extraction'

export interface TaskFacts {
  /** Ends of transformers' class names, as `architectures` of config.json lists them. */
  readonly classes: readonly string[]
  /** `task_type` of PEFT's adapter_config.json, where it has one. */
  readonly taskType?: string
  /** What stands on the last hidden state. */
  readonly head: string
  /** What `labels` of a batch hold; -100 is not learnt. `nll` gives one number for each. */
  readonly labels: string
  readonly loss: string
  readonly metric: string
}

/** The one table of tasks. */
export const tasks: Readonly<Record<Task, TaskFacts>> = {
  'causal-lm': {
    classes: ['ForCausalLM', 'LMHeadModel'],
    taskType: 'CAUSAL_LM',
    head: 'a matrix of tokens, often the embedding',
    labels: '[B, T]: the ids themselves; the loss shifts them',
    loss: 'cross-entropy of each token given those before it',
    metric: 'perplexity',
  },
  'masked-lm': {
    classes: ['ForMaskedLM', 'ForPreTraining'],
    head: 'a dense layer, a norm and the embedding as the matrix of tokens',
    labels: '[B, T]: the id that a mask hides, at its own place',
    loss: 'cross-entropy of each masked token',
    metric: 'perplexity of the masked tokens',
  },
  seq2seq: {
    classes: ['ForConditionalGeneration'],
    taskType: 'SEQ_2_SEQ_LM',
    head: 'a matrix of tokens on the decoder',
    labels: '[B, T]: the ids that the decoder is to write; it reads them shifted right',
    loss: 'cross-entropy of each token given the text and those before it',
    metric: 'exact match, ROUGE',
  },
  'seq-cls': {
    classes: ['ForSequenceClassification'],
    taskType: 'SEQ_CLS',
    head: 'a linear layer on one state of each row',
    labels: '[B, 1]: the class of the row',
    loss: 'cross-entropy of the class',
    metric: 'accuracy, F1',
  },
  'token-cls': {
    classes: ['ForTokenClassification'],
    taskType: 'TOKEN_CLS',
    head: 'a linear layer on every state',
    labels: '[B, T]: the class of each token',
    loss: 'cross-entropy of each class',
    metric: 'F1 of the spans',
  },
  'question-answering': {
    classes: ['ForQuestionAnswering'],
    taskType: 'QUESTION_ANS',
    head: 'two numbers for every state: how well the answer begins and ends there',
    labels: '[B, 2]: the places of the first and the last token of the answer',
    loss: 'cross-entropy of both places over the row',
    metric: 'exact match, F1 of the tokens',
  },
  'feature-extraction': {
    classes: ['Model'],
    taskType: 'FEATURE_EXTRACTION',
    head: 'none: the last hidden state, from which `embedRows` makes one vector a row',
    labels: 'none',
    loss: 'none',
    metric: 'cosine similarity',
  },
}

export const taskNames = Object.keys(tasks) as Task[]

/** The task of a class of transformers, such as `BertForMaskedLM`; undefined for one that is not known. */
export const taskOfClass = (name: string): Task | undefined =>
  // `GPT2LMHeadModel` ends with `Model` too, so the longer end goes first.
  taskNames
    .flatMap((task) => tasks[task].classes.map((end) => ({ task, end })))
    .toSorted((a, b) => b.end.length - a.end.length)
    .find(({ end }) => name.endsWith(end))?.task
