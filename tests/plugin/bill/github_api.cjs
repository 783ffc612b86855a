// Stands for actions/github-script: runs the script with an API whose pull requests and comments are in a file.
const fs = require("fs");
const [script, file] = process.argv.slice(2);
const state = JSON.parse(fs.readFileSync(file, "utf8"));

const github = {
  rest: {
    pulls: { list: async ({ head }) => ({ data: state.pulls.filter((each) => each.label === head) }) },
    issues: {
      listComments: "comments",
      createComment: async ({ issue_number, body }) => {
        state.comments.push({ id: state.comments.length + 1, issue_number, body, user: { type: "Bot" } });
      },
      updateComment: async ({ comment_id, body }) => {
        state.comments.find((each) => each.id === comment_id).body = body;
      },
    },
  },
  paginate: async (what, { issue_number }) => state[what].filter((each) => each.issue_number === issue_number),
};
const context = { repo: { owner: "shop", repo: "shop" } };
const core = { info: console.log };

const body = new Function("require", "github", "context", "core", `return (async () => {${script}\n})()`);
body(require, github, context, core).then(() => fs.writeFileSync(file, JSON.stringify(state)));
